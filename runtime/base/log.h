#pragma once
#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>

namespace herd {

/// One line to the terminal (stderr) with a time stamp, and to the run's log file once one is attached.
/// `set_log_rank` keeps `info` to rank 0; warnings and errors come from every rank, with its number. Safe from any thread.
void set_log_rank(int rank, int ranks);
/// Appends to `path` from now on, in place of the file before; "" detaches. @throws IoError where it cannot be opened.
void attach_log_file(std::string_view path);
void log_line(int level, std::string_view text);

/// A line that stays last on the terminal, such as a progress bar: drawn over the former one in a single write, taken away before a
/// log line and put back after it. The text holds no line break and is narrower than the terminal; "" takes it away for good.
void show_status_line(std::string text);

template <class... Args>
void log_info(fmt::format_string<Args...> format, Args&&... args) {
  log_line(0, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void log_warning(fmt::format_string<Args...> format, Args&&... args) {
  log_line(1, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace herd
