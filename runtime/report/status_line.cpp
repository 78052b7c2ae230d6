#include "runtime/report/status_line.h"

#include <algorithm>

#include "runtime/base/log.h"
#include "runtime/base/process.h"

namespace herd {

StatusLine::StatusLine() : on_terminal_(terminal_columns().has_value()) {}

StatusLine::~StatusLine() {
  if (drawn_) show_status_line("");
}

bool StatusLine::due() const {
  constexpr std::chrono::milliseconds kRedraw(200), kLogEvery(30'000);
  return Clock::now() - shown_ >= (on_terminal_ ? kRedraw : kLogEvery);
}

void StatusLine::show(const std::string& text) {
  shown_ = Clock::now();
  if (!on_terminal_) return log_info("{}", text);
  drawn_ = true;
  const auto columns = terminal_columns().value_or(80);  // asked anew: windows are resized
  show_status_line(text.substr(0, static_cast<std::size_t>(std::max(columns - 1, 0))));
}

void StatusLine::reset() { shown_ = Clock::now(); }

}  // namespace herd
