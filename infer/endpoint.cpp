#include "infer/endpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>

#include "data/format/python_text.h"
#include "runtime/base/error.h"

namespace herd {
namespace {

using Json = nlohmann::json;
using Clock = std::chrono::steady_clock;

constexpr double kLongestWaitS = 60;
constexpr std::chrono::milliseconds kLook{50};  // how soon a stop is seen while waiting

const Json* find(const Json& json, const char* place) {
  const Json::json_pointer pointer(place);
  return json.is_object() && json.contains(pointer) ? &json[pointer] : nullptr;
}

std::optional<std::int64_t> count_at(const Json& json, const char* place) {
  const auto* found = find(json, place);
  if (!found || !found->is_number_integer() || *found < 0) return std::nullopt;
  return found->get<std::int64_t>();
}

/// The beginning of what a service said, which may be any bytes, for a terminal.
std::string quoted(const std::string& bytes) { return Json(bytes.substr(0, 80)).dump(-1, ' ', false, Json::error_handler_t::replace); }

/// What a chat completion says; without a text where it is none.
ChatReply read_reply(const std::string& answer) {
  ChatReply reply;
  const auto json = Json::parse(answer, nullptr, false);
  if (const auto* text = find(json, "/choices/0/message/content"); text && text->is_string()) reply.text = text->get<std::string>();
  else reply.why = "no chat completion: " + quoted(answer);
  if (const auto* finish = find(json, "/choices/0/finish_reason"); finish && finish->is_string()) reply.finish = finish->get<std::string>();
  reply.prompt_tokens = count_at(json, "/usage/prompt_tokens");
  reply.answer_tokens = count_at(json, "/usage/completion_tokens");
  return reply;
}

/// @return whether it was stopped.
bool wait(double seconds, const std::function<bool()>& stopped) {
  const auto end = Clock::now() + std::chrono::duration<double>(seconds);
  while (Clock::now() < end) {
    if (stopped && stopped()) return true;
    std::this_thread::sleep_for(std::min<Clock::duration>(kLook, std::chrono::duration_cast<Clock::duration>(end - Clock::now())));
  }
  return stopped && stopped();
}

EndpointOptions without_slash(EndpointOptions options) {
  while (options.url.ends_with('/')) options.url.pop_back();
  return options;
}

}  // namespace

void EndpointOptions::validate(const char* option) const {
  const auto refuse = [](const char* who, const std::string& found, const char* expected) {
    throw ConfigError({.who = who, .found = "'" + found + "'", .expected = expected, .remedy = ""});
  };
  if (!url.starts_with("http://") && !url.starts_with("https://"))
    refuse(option, url, "the address of a service, such as http://127.0.0.1:8000/v1");
  if (attempts < 1) refuse("--attempts", std::to_string(attempts), "1 or more");
  if (!(first_wait_s >= 0)) refuse("--wait", std::to_string(first_wait_s), "seconds, 0 or more");
  if (!(timeout_s > 0)) refuse("--timeout", std::to_string(timeout_s), "seconds above 0");
}

Endpoint::Endpoint(EndpointOptions options) : options_(without_slash(std::move(options))) {}

std::string Endpoint::body(const std::string& model, const ChatQuestion& question) {
  Json json{{"model", model}, {"temperature", question.temperature}, {"messages", {{{"role", "user"}, {"content", question.prompt}}}}};
  if (question.top_p) json["top_p"] = *question.top_p;
  if (question.max_tokens) json["max_tokens"] = *question.max_tokens;
  if (!question.stop.empty()) json["stop"] = question.stop;
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

ChatReply Endpoint::ask(const ChatQuestion& question, const std::function<bool()>& stopped) {
  const auto sent = body(options_.model, question);
  ChatReply reply;
  auto wait_s = options_.first_wait_s;
  for (std::int64_t attempt = 1;; ++attempt) {
    const auto again_s = once(sent, reply);
    if (!again_s || attempt == options_.attempts || wait(std::min(std::max(wait_s, *again_s), kLongestWaitS), stopped)) return reply;
    wait_s *= 2;
  }
}

/// @return none: this is the reply; else how long the service asks to be left alone.
std::optional<double> Endpoint::once(const std::string& body, ChatReply& reply) {
  std::string answer;
  const auto response = http_.send({.url = options_.url + "/chat/completions",
                                    .body = body,
                                    .headers = {"Content-Type: application/json"},
                                    .token = options_.key,
                                    .leave_host = false,
                                    .timeout_s = options_.timeout_s},
                                   [&](const HttpResponse&, std::string_view bytes) { answer += bytes; });
  reply = response.good() ? read_reply(answer) : ChatReply();
  const bool says_nothing = response.good() && (reply.text ? options_.wants_words && strip(*reply.text).empty() : strip(answer).empty());
  if (response.good() && !says_nothing) return std::nullopt;
  const bool answered = response.failure == HttpFailure::kNone;
  reply.text.reset();
  reply.why = says_nothing ? options_.url + " answered with nothing" : answered ? fmt::format("{} answered with status {}", options_.url, response.status) : fmt::format("{}: {}", options_.url, response.why);
  const bool silent = says_nothing || response.failure == HttpFailure::kNoConnection || response.failure == HttpFailure::kBroken;
  const bool busy = answered && (response.status == 429 || response.status >= 500);
  // A question that is refused (400) may be one too long: the next may do.
  reply.down = silent || response.failure == HttpFailure::kRefused || response.status == 401 || response.status == 403 || response.status == 404;
  return busy || silent ? std::optional(static_cast<double>(response.number("retry-after").value_or(0))) : std::nullopt;
}

}  // namespace herd
