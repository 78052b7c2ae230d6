#include "infer/server/api_error.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <random>

#include "runtime/base/error.h"
#include "runtime/base/log.h"

namespace herd {
namespace {

const char* type_of(int status) {
  switch (status) {
    case 401: return "authentication_error";
    case 429: return "rate_limit_error";
    default: return status < 500 ? "invalid_request_error" : "server_error";
  }
}

nlohmann::ordered_json or_null(const std::string& text) { return text.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(text); }

}  // namespace

ApiError::ApiError(int status, std::string message, std::string param, std::string code)
    : status_(status), message_(std::move(message)), param_(std::move(param)), code_(std::move(code)) {
  std::ranges::replace(message_, '\n', ' ');
}

ApiError ApiError::field(const std::string& param, const std::string& found, const std::string& expected) {
  return {400, "'" + param + "': found " + found + "; expected " + expected, param, "invalid_value"};
}

std::string ApiError::json() const {
  const nlohmann::ordered_json body{{"error", {{"message", message_}, {"type", type_of(status_)}, {"param", or_null(param_)}, {"code", or_null(code_)}}}};
  return body.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

ApiError api_error(const std::exception& error) {
  if (const auto* known = dynamic_cast<const ApiError*>(&error)) return *known;
  if (const auto* options = dynamic_cast<const ConfigError*>(&error)) {
    auto param = options->complaint().who;  // an option's name on the command line: a field's, but for its hyphens
    std::ranges::replace(param, '-', '_');
    return {400, error.what(), param.find(' ') == param.npos ? param : "", "invalid_value"};
  }
  if (dynamic_cast<const DataError*>(&error)) return {400, error.what(), "", "invalid_value"};
  return internal_error(error);
}

ApiError internal_error(const std::exception& error) {
  const auto number = fmt::format("{:08x}", std::random_device()());
  log_warning("internal error {}: {}", number, error.what());
  return {500, "internal error " + number + ": the server's log says more", "", "internal_error"};
}

}  // namespace herd
