#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>

#include "data/format/python_text.h"
#include "infer/evaluate/judge.h"
#include "runtime/base/error.h"
#include "runtime/net/http.h"

namespace herd {
namespace {

using Json = nlohmann::json;
constexpr double kLongestWaitS = 60;

/// The words of a chat completion; none where it has none.
std::optional<std::string> words_of(const std::string& body) {
  const auto json = Json::parse(body, nullptr, false);
  const Json::json_pointer place("/choices/0/message/content");
  if (!json.is_object() || !json.contains(place) || !json[place].is_string()) return std::nullopt;
  return json[place].get<std::string>();
}

class EndpointJudge final : public Judge {
 public:
  explicit EndpointJudge(EndpointOptions options) : options_(std::move(options)) {}

  JudgeReply ask(const std::string& prompt) override {
    JudgeReply reply;
    auto wait_s = options_.first_wait_s;
    for (std::int64_t attempt = 1;; ++attempt) {
      const auto again_s = once(prompt, reply);
      if (!again_s || attempt == options_.attempts) return reply;
      std::this_thread::sleep_for(std::chrono::duration<double>(std::min(std::max(wait_s, *again_s), kLongestWaitS)));
      wait_s *= 2;
    }
  }

 private:
  /// @return none: this is the reply; else how long the service asks to be left alone.
  std::optional<double> once(const std::string& prompt, JudgeReply& reply) {
    const Json body{{"model", options_.model}, {"temperature", options_.temperature}, {"messages", {{{"role", "user"}, {"content", prompt}}}}};
    std::string answer;
    const auto response = http_.send({.url = options_.url + "/chat/completions", .body = body.dump(-1, ' ', false, Json::error_handler_t::replace), .headers = {"Content-Type: application/json"},
                                      .token = options_.key, .leave_host = false, .timeout_s = options_.timeout_s},
                                     [&](const HttpResponse&, std::string_view bytes) { answer += bytes; });
    reply = {};
    const bool answered = response.failure == HttpFailure::kNone;
    auto words = response.good() ? words_of(answer) : std::nullopt;
    const bool says_nothing = response.good() && strip(words ? *words : answer).empty();
    if (response.good() && !says_nothing) {
      reply.text = std::move(words);
      reply.why = reply.text ? "" : "no chat completion: " + answer.substr(0, 80);
      return std::nullopt;
    }
    reply.why = says_nothing ? options_.url + " answered with nothing" : answered ? fmt::format("{} answered with status {}", options_.url, response.status) : fmt::format("{}: {}", options_.url, response.why);
    const bool silent = says_nothing || response.failure == HttpFailure::kNoConnection || response.failure == HttpFailure::kBroken;
    const bool busy = answered && (response.status == 429 || response.status >= 500);
    // A question that is refused (400) may be one too long: the next may do.
    reply.down = silent || response.failure == HttpFailure::kRefused || response.status == 401 || response.status == 403 || response.status == 404;
    return busy || silent ? std::optional(static_cast<double>(response.number("retry-after").value_or(0))) : std::nullopt;
  }

  const EndpointOptions options_;
  Http http_;
};

}  // namespace

void EndpointOptions::validate() const {
  const auto refuse = [](const char* who, const std::string& found, const char* expected) { throw ConfigError({.who = who, .found = "'" + found + "'", .expected = expected, .remedy = ""}); };
  if (!url.starts_with("http://") && !url.starts_with("https://")) refuse("--judge", url, "the address of a service, such as http://127.0.0.1:8000/v1");
  if (attempts < 1) refuse("--attempts", std::to_string(attempts), "1 or more");
  if (!(first_wait_s >= 0)) refuse("--wait", std::to_string(first_wait_s), "seconds, 0 or more");
  if (!(timeout_s > 0)) refuse("--timeout", std::to_string(timeout_s), "seconds above 0");
}

std::unique_ptr<Judge> endpoint_judge(EndpointOptions options) {
  options.validate();
  while (options.url.ends_with('/')) options.url.pop_back();
  return std::make_unique<EndpointJudge>(std::move(options));
}

}  // namespace herd
