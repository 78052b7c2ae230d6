#include "launch/load_watch.h"

#include <fmt/format.h>

#include "runtime/base/text.h"

namespace herd {
namespace {

std::string text_of(std::string_view doing, std::int64_t records, double seconds) {
  if (records == 0) return fmt::format("{} …", doing);
  return fmt::format("{}: {} records, {} a second", doing, with_thousands(records), with_thousands(static_cast<std::int64_t>(static_cast<double>(records) / seconds)));
}

}  // namespace

void LoadWatch::operator()(std::string_view doing, std::int64_t records) {
  if (signal_() != Signal::none) throw Interrupted();
  if (!shows_) return;
  const std::lock_guard lock(mutex_);
  const auto now = Clock::now();
  if (doing != doing_) {
    doing_ = doing;
    began_ = now;
    line_.reset();
  }
  if (line_.due()) line_.show(text_of(doing, records, std::chrono::duration<double>(now - began_).count()));
}

}  // namespace herd
