#include "launch/load_watch.h"

#include <unistd.h>

#include "runtime/base/log.h"
#include "runtime/base/text.h"

namespace herd {
namespace {

constexpr auto kRedraw = std::chrono::milliseconds(200);
constexpr auto kLogEvery = std::chrono::seconds(30);

std::string text_of(std::string_view doing, std::int64_t records, double seconds) {
  if (records == 0) return fmt::format("{} …", doing);
  return fmt::format("{}: {} records, {} a second", doing, with_thousands(records), with_thousands(static_cast<std::int64_t>(static_cast<double>(records) / seconds)));
}

}  // namespace

LoadWatch::~LoadWatch() {
  if (shows_) show_status_line("");
}

void LoadWatch::operator()(std::string_view doing, std::int64_t records) {
  if (signal_() != Signal::none) throw Interrupted();
  if (!shows_) return;
  const std::lock_guard lock(mutex_);
  const auto now = Clock::now();
  if (doing != doing_) {
    doing_ = doing;
    began_ = shown_ = logged_ = now;
  }
  const auto text = [&] { return text_of(doing, records, std::chrono::duration<double>(now - began_).count()); };
  if (now - shown_ >= kRedraw && isatty(STDERR_FILENO)) {
    shown_ = now;
    show_status_line(text());
  }
  if (now - logged_ >= kLogEvery) {
    logged_ = now;
    log_info("{}", text());
  }
}

}  // namespace herd
