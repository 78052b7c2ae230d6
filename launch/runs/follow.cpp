#include "launch/runs/follow.h"

#include <chrono>
#include <cstdio>
#include <thread>

#include "runtime/base/error.h"
#include "runtime/base/file.h"

namespace herd {
namespace {

namespace fs = std::filesystem;
constexpr auto kPause = std::chrono::milliseconds(300);
constexpr int kPausesPerQueue = 50;  // squeue is the whole cluster's: asked every quarter of a minute

bool lives(const RunFolder& folder) {
  const auto holder = lock_holder(folder);
  return holder && holder->living;
}

bool waits(const RunFolder& folder) { return summarise(folder, queue_for({folder})).state == RunState::kWaiting; }

std::string last_lines(const std::string& text, std::size_t lines) {
  auto begin = text.size();
  if (begin > 0 && text.back() == '\n') --begin;
  for (; begin > 0; --begin)
    if (text[begin - 1] == '\n' && lines-- <= 1) break;
  return text.substr(begin);
}

void print(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

}  // namespace

void tail_run(const RunFolder& folder, std::size_t lines, bool follow) {
  for (int pauses = 0; !fs::exists(folder.log()); ++pauses) {
    if (!follow || (pauses % kPausesPerQueue == 0 && !lives(folder) && !waits(folder)))
      throw IoError({.who = folder.log().string(),
                     .found = "no log: the run has not begun",
                     .expected = "",
                     .remedy = "herd runs show says how it stands; -f waits for one that is queued"});
    std::this_thread::sleep_for(kPause);
  }
  auto text = read_file(folder.log());
  auto seen = text.size();
  if (lines > 0) print(last_lines(text, lines));
  for (int until_asked = 0; follow;) {
    const bool living = lives(folder);  // before the log is read: what is said until then is in it
    text = read_file(folder.log());
    if (text.size() < seen) seen = 0;  // another run's log in its place
    print(text.substr(seen));
    seen = text.size();
    if (living) {
      until_asked = 0;
    } else if (until_asked-- == 0) {
      if (!waits(folder)) return;
      until_asked = kPausesPerQueue;
    }
    std::this_thread::sleep_for(kPause);
  }
}

}  // namespace herd
