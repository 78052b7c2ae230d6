#include "launch/launcher/run_journal.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>

#include "parallel/checkpoint/folder.h"
#include "runtime/base/file.h"
#include "runtime/base/log.h"
#include "runtime/base/process.h"
#include "runtime/report/metrics.h"

namespace herd {
namespace {

bool is_held(const RunFolder& folder) {
  const int file = ::open(folder.lock().c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return false;
  const bool held = ::flock(file, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  ::close(file);
  return held;
}

}  // namespace

RunProgress progress_of(const RunFolder& folder) {
  RunProgress progress;
  try {
    progress.saved = CheckpointFolder(folder.checkpoints()).latest().value_or(0);
  } catch (const IoError& error) {
    log_warning("{}", error.what());
  }
  progress.reached = progress.saved;
  if (!std::filesystem::exists(folder.metrics())) return progress;
  try {
    for (const auto& line : read_metrics(folder.metrics()))
      if (line.get(metric::kLoss)) progress.reached = std::max(progress.reached, line.step);
  } catch (const Error& error) {
    log_warning("{}", error.what());
  }
  return progress;
}

void write_try(const RunFolder& folder, const TryRecord& r) {
  const nlohmann::ordered_json line{{"try", r.number},          {"began", r.began},
                                    {"ended", utc_now()},       {"hosts", text(r.placed)},
                                    {"ranks", slots(r.placed)}, {"code", r.end.code},
                                    {"step", r.end.progress.reached}, {"saved", r.end.progress.saved},
                                    {"lost", r.end.lost},       {"cause", r.cause},
                                    {"then", r.verdict.again ? "restart" : "end"}, {"why", r.verdict.why},
                                    {"spends", r.verdict.spends}};
  try {
    make_folder(folder.root());
    File(folder.launches(), File::Mode::append).write(line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
  } catch (const IoError& error) {
    log_warning("{}", error.what());
  }
}

void wait_for_lock(const RunFolder& folder, double patience_s, const Signals& signals) {
  constexpr auto kLook = std::chrono::milliseconds(200);
  if (!is_held(folder)) return;
  log_info("{} is still held by a rank of the try before: waiting", folder.root().string());
  const auto until = std::chrono::steady_clock::now() + std::chrono::duration<double>(patience_s);
  while (is_held(folder) && std::chrono::steady_clock::now() < until && signals.pending() == Signal::none) std::this_thread::sleep_for(kLook);
}

}  // namespace herd
