#pragma once
#include <fmt/format.h>

#include <string_view>
#include <utility>

namespace herd {

/// One line to the terminal (stderr) with a time stamp, and to the run's log file once one is attached.
/// `set_log_rank` keeps `info` to rank 0; warnings and errors come from every rank, with its number.
void set_log_rank(int rank, int ranks);
void attach_log_file(std::string_view path);
void log_line(int level, std::string_view text);

template <class... Args>
void log_info(fmt::format_string<Args...> format, Args&&... args) {
  log_line(0, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void log_warning(fmt::format_string<Args...> format, Args&&... args) {
  log_line(1, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace herd
