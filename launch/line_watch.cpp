#include "launch/line_watch.h"

#include <algorithm>

#include "runtime/base/log.h"
#include "runtime/base/process.h"

namespace herd {

LineWatch::~LineWatch() { show_status_line(""); }

double LineWatch::seconds() const { return std::chrono::duration<double>(Clock::now() - began_).count(); }

void LineWatch::operator()(const std::string& line) {
  constexpr auto kLogEvery = std::chrono::seconds(30);
  const auto now = Clock::now();
  if (const auto columns = terminal_columns()) {
    show_status_line(line.substr(0, static_cast<std::size_t>(std::max(*columns - 1, 0))));
  } else if (now - logged_ >= kLogEvery) {
    logged_ = now;
    log_info("{}", line);
  }
}

}  // namespace herd
