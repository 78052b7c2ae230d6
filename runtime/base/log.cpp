#include "runtime/base/log.h"

#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <mutex>

#include "runtime/base/error.h"
#include "runtime/base/process.h"

namespace herd {
namespace {

// Back to the first column, and everything right of it gone.
constexpr std::string_view kClearLine = "\r\x1b[K";

// stderr, shared with the status line. Each change of the screen is one write, so that nothing flickers or tears.
class TerminalSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  void show(std::string status) {
    const std::lock_guard lock(mutex_);
    if (status.empty() && status_.empty()) return;
    status_ = std::move(status);
    put(fmt::format("{}{}", kClearLine, status_));
  }
  // Another process (rank 0) may keep a status line on this terminal: start in its place instead of behind it.
  void share_terminal(bool shared) {
    const std::lock_guard lock(mutex_);
    shared_ = shared;
  }

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    put(fmt::format("{}{}{}", shared_ || !status_.empty() ? kClearLine : "", std::string_view(line.data(), line.size()), status_));
  }
  void flush_() override {}

 private:
  static void put(std::string_view text) {
    while (!text.empty()) {
      const auto count = write(STDERR_FILENO, text.data(), text.size());
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) return;  // nobody listens; the log file still does
      text.remove_prefix(static_cast<std::size_t>(count));
    }
  }

  std::string status_;
  bool shared_ = false;
};

// One a process, as stderr is.
struct Log {
  Log() {
    logger->set_pattern("[%H:%M:%S] %v");
    logger->flush_on(spdlog::level::info);
  }
  std::shared_ptr<TerminalSink> terminal = std::make_shared<TerminalSink>();
  std::shared_ptr<spdlog::logger> logger = std::make_shared<spdlog::logger>("herd", terminal);
  std::string prefix;
  std::mutex mutex;  // spdlog's list of sinks must not change under a line
};

Log& log() {
  static Log instance;
  return instance;
}

}  // namespace

void set_log_rank(int rank, int ranks) {
  const std::lock_guard lock(log().mutex);
  log().prefix = ranks > 1 ? fmt::format("rank {}: ", rank) : "";
  log().logger->set_level(rank == 0 ? spdlog::level::info : spdlog::level::warn);
  log().terminal->share_terminal(rank > 0 && terminal_columns().has_value());
}

void attach_log_file(std::string_view path) {
  const std::lock_guard lock(log().mutex);
  auto& sinks = log().logger->sinks();
  sinks.resize(1);
  if (path.empty()) return;
  try {
    sinks.push_back(std::make_shared<spdlog::sinks::basic_file_sink_mt>(std::string(path)));
  } catch (const spdlog::spdlog_ex& error) {
    throw IoError({.who = std::string(path), .found = error.what(), .expected = "a log file that can be written", .remedy = ""});
  }
  sinks.back()->set_pattern("%Y-%m-%d %H:%M:%S.%e %v");
}

void log_line(int level, std::string_view text) {
  const std::lock_guard lock(log().mutex);
  if (level == 0) log().logger->info("{}", text);
  else log().logger->warn("{}warning: {}", log().prefix, text);
}

void show_status_line(std::string text) { log().terminal->show(std::move(text)); }

}  // namespace herd
