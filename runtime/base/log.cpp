#include "runtime/base/log.h"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <string>

namespace herd {
namespace {

// spdlog keeps the process's loggers; this one lives for the whole process, as stderr does.
spdlog::logger& logger() {
  static const auto instance = [] {
    auto made = std::make_shared<spdlog::logger>("herd", std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
    made->set_pattern("[%H:%M:%S] %^%v%$");
    made->flush_on(spdlog::level::info);
    return made;
  }();
  return *instance;
}

std::string& rank_prefix() {
  static std::string prefix;
  return prefix;
}

}  // namespace

void set_log_rank(int rank, int ranks) {
  rank_prefix() = ranks > 1 ? fmt::format("rank {}: ", rank) : "";
  logger().set_level(rank == 0 ? spdlog::level::info : spdlog::level::warn);
}

void attach_log_file(std::string_view path) {
  logger().sinks().push_back(std::make_shared<spdlog::sinks::basic_file_sink_mt>(std::string(path)));
}

void log_line(int level, std::string_view text) {
  if (level == 0) logger().info("{}", text);
  else logger().warn("{}warning: {}", rank_prefix(), text);
}

}  // namespace herd
