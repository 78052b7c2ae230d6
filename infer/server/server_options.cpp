#include "infer/server/server_options.h"

#include <fmt/format.h>

#include <utility>

#include "runtime/base/error.h"

namespace herd {
namespace {

constexpr double kMostSeconds = 1e6;  // eleven days: what poll() can be told in milliseconds

bool is_loopback(const std::string& host) { return host == "localhost" || host == "::1" || host.starts_with("127."); }

}  // namespace

void ServerOptions::validate() const {
  const auto at_least = [](const char* key, auto value, auto least) {
    if (!(value >= least)) throw ConfigError({.who = key, .found = fmt::format("{}", value), .expected = fmt::format("{} or more", least), .remedy = ""});
  };
  if (port < 0 || port > 65535) throw ConfigError({.who = "--port", .found = std::to_string(port), .expected = "from 0 (any that is free) to 65535", .remedy = ""});
  at_least("--queue", queue, std::int64_t{1});
  at_least("--connections", connections, std::int64_t{0});
  at_least("--max-body-bytes", max_body_bytes, std::int64_t{1024});
  at_least("--max-texts", max_texts, std::int64_t{1});
  for (const auto& [key, seconds] : {std::pair{"--read-timeout", read_timeout_s}, {"--idle-timeout", idle_timeout_s}, {"--write-timeout", write_timeout_s}, {"--request-timeout", request_timeout_s}, {"--stall", stall_s}}) {
    at_least(key, seconds, 0.1);
    if (seconds > kMostSeconds) throw ConfigError({.who = key, .found = fmt::format("{}", seconds), .expected = fmt::format("at most {} seconds", kMostSeconds), .remedy = ""});
  }
  if (!is_loopback(host) && api_key.empty())
    throw ConfigError({.who = "--host " + host,
                       .found = "no API key",
                       .expected = "one, where others than this machine can ask",
                       .remedy = "set HERD_API_KEY (or --api-key, which every user of this machine can read), or leave the default host, 127.0.0.1"});
}

}  // namespace herd
