#include "infer/server/api.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <nlohmann/json.hpp>

#include "data/tokenizer/utf8.h"
#include "infer/server/api_error.h"
#include "infer/server/page.h"
#include "infer/server/call.h"
#include "infer/server/following.h"
#include "infer/server/json_fields.h"

namespace herd {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kQuery = "/query/", kModel = "/v1/models/";

HttpReply reply(const ApiError& error) {
  HttpReply out{.status = error.status(), .body = error.json()};
  if (error.status() == 429 || error.status() == 503) out.headers.emplace_back("Retry-After", "1");
  if (error.status() == 401) out.headers.emplace_back("WWW-Authenticate", "Bearer");
  return out;
}

HttpReply reply(const Json& json) { return {.body = json.dump(-1, ' ', false, Json::error_handler_t::replace)}; }

Json entry(const ServedModel& model, const Served& served) {
  return {{"id", model.name}, {"object", "model"}, {"created", 0}, {"owned_by", "herd"}, {"max_model_len", served.context}};
}

// In a time that does not tell how much of the key is right.
bool same(const std::string& given, const std::string& key) {
  unsigned char difference = given.size() == key.size() ? 0 : 1;
  for (std::size_t i = 0; i < key.size(); ++i) difference |= static_cast<unsigned char>(key[i] ^ (i < given.size() ? given[i] : 0));
  return difference == 0;
}

std::string now_text() {
  const auto now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  char text[32];
  return {text, std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &local)};
}

}  // namespace

struct Api::Route {
  std::string_view method, path;  ///< a path that ends with '/' and is longer than it stands for all that begin so
  HttpReply (Api::*answer)(const ClientRequest&);
  bool open = false;         ///< without a key
  bool fits(const std::string& asked) const { return asked == path || (path.size() > 1 && path.ends_with('/') && asked.starts_with(path)); }
};

const std::vector<Api::Route>& Api::routes() {
  static const std::vector<Route> routes{
      {"GET", "/health", &Api::health, true},
      {"GET", "/metrics", &Api::metrics},
      {"GET", "/v1/models", &Api::models},
      {"GET", kModel, &Api::model},
      {"POST", "/v1/completions", &Api::completions},
      {"POST", "/v1/chat/completions", &Api::chat_completions},
      {"GET", kQuery, &Api::seeds_query},
      {"GET", "/", &Api::page, true},
      {"GET", "/page.css", &Api::page, true},
      {"GET", "/page.js", &Api::page, true},
      {"POST", "/", &Api::seeds_post},
  };
  return routes;
}

Api::Api(const ServerOptions& options, GenerationOptions seeds, ServerMetrics& metrics) : options_(options), seeds_(std::move(seeds)), metrics_(metrics) {}

void Api::open(const Served& served, Worker& worker) {
  opened_ = std::make_unique<const Service>(served, worker);
  service_ = opened_.get();
}

const Api::Service& Api::service() const {
  if (draining_) throw ApiError(503, "the server is stopping: it finishes what is under way and takes nothing new");
  const auto* service = service_.load();
  if (!service) throw ApiError(503, "the model is still being read");
  return *service;
}

const Api::Route& Api::route(const HttpHead& head) const {
  const auto method = head.method == "HEAD" ? "GET" : head.method;
  bool known = false;
  for (const auto& route : routes()) {
    if (!route.fits(head.path)) continue;
    if (route.method == method) return route;
    known = true;
  }
  if (known) throw ApiError(405, "'" + head.path + "' does not take " + head.method, "", "method_not_allowed");
  throw ApiError(404, "found path '" + head.path.substr(0, 80) + "'; expected one of docs/serve.md", "", "not_found");
}

std::optional<HttpReply> Api::refuse(const HttpHead& head) const {
  try {
    const auto& route = this->route(head);
    if (!options_.api_key.empty() && !route.open && !same(head.authorization, "Bearer " + options_.api_key))
      throw ApiError(401, head.authorization.empty() ? "no API key: send it as 'Authorization: Bearer KEY'" : "a wrong API key", "", "invalid_api_key");
    if (route.method == "POST") {
      // A page of another site may send forms and plain text here through a browser, but not JSON.
      if (!head.content_type.starts_with("application/json"))
        throw ApiError(415, "found Content-Type '" + head.content_type.substr(0, 80) + "'; expected application/json", "", "unsupported_media_type");
      if (!head.content_encoding.empty()) throw ApiError(415, "found Content-Encoding '" + head.content_encoding.substr(0, 80) + "'; expected none", "", "unsupported_media_type");
      const auto& length = head.body_bytes;
      if (length.size() > 15 || std::strtoll(length.c_str(), nullptr, 10) > options_.max_body_bytes) throw ApiError(413, fmt::format("a body of {} bytes; expected at most {} (--max-body-bytes)", length.substr(0, 20), options_.max_body_bytes));
    }
    return std::nullopt;
  } catch (const ApiError& error) {
    return reply(error);
  }
}

HttpReply Api::answer(const ClientRequest& request) {
  std::string path = "other";
  HttpReply out;
  try {
    if (auto refused = refuse(request.head)) {
      out = *refused;
    } else {
      const auto& route = this->route(request.head);
      path = std::string(route.path);
      out = (this->*route.answer)(request);
    }
  } catch (const std::exception& error) {
    out = reply(api_error(error));
  }
  metrics_.answered(path, out.status);
  return out;
}

HttpReply Api::broken(int status) {
  metrics_.answered("other", status);
  const auto message = [&]() -> std::string {
    switch (status) {
      case 411: return "a body of unknown length; expected Content-Length, or Transfer-Encoding: chunked";
      case 413: return fmt::format("a body of more than {} bytes (--max-body-bytes)", options_.max_body_bytes);
      case 501: return "found another Transfer-Encoding than chunked";
      case 503: return "too many connections (--connections)";
      default: return "no HTTP request that herd understands";
    }
  };
  return reply(ApiError(status, message()));
}

HttpReply Api::failed(const std::exception& error) {
  const auto out = reply(internal_error(error));
  metrics_.answered("other", out.status);
  return out;
}

bool Api::ready() const {
  const auto* service = service_.load();
  return !draining_ && service && service->worker.health() == Worker::Health::kReady;
}

// Open to all, as it holds nothing: what it asks for needs the key.
HttpReply Api::page(const ClientRequest& request) {
  const auto files = page_files();
  const auto& file = *std::ranges::find_if(files, [&](const PageFile& f) { return request.head.path == f.path; });
  return {.body = file.text,
          .content_type = file.content_type,
          .headers = {{"Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
                      {"X-Content-Type-Options", "nosniff"},
                      {"Referrer-Policy", "no-referrer"},
                      {"Cache-Control", "no-cache"}}};
}

HttpReply Api::health(const ClientRequest&) {
  const auto& worker = service().worker;
  switch (worker.health()) {
    case Worker::Health::kReady: return reply(Json{{"status", "ok"}});
    case Worker::Health::kStarting: throw ApiError(503, "no token has been made yet");
    case Worker::Health::kStalled: throw ApiError(503, fmt::format("the engine stalls: a step takes more than {} s", options_.stall_s));
    case Worker::Health::kFailed: break;
  }
  throw ApiError(503, "the engine has failed: " + worker.failure());
}

HttpReply Api::metrics(const ClientRequest&) {
  ServerMetrics::Now now{.ready = ready()};
  if (const auto* service = service_.load()) now.waiting = service->worker.waiting(), now.growing = service->worker.growing();
  return {.body = metrics_.text(now), .content_type = "text/plain; version=0.0.4; charset=utf-8"};
}

HttpReply Api::models(const ClientRequest&) {
  Json list = Json::array();
  for (const auto& model : service().served.models) list.push_back(entry(model, service().served));
  return reply(Json{{"object", "list"}, {"data", std::move(list)}});
}

HttpReply Api::model(const ClientRequest& request) {
  const auto& served = service().served;
  return reply(entry(served.find(request.head.path.substr(kModel.size())), served));
}

HttpReply Api::completions(const ClientRequest& request) {
  const auto& served = service().served;
  return answer_call(completion_call(parse_body(request.body), served, options_.max_texts), request);
}

HttpReply Api::chat_completions(const ClientRequest& request) {
  const auto& served = service().served;
  return answer_call(chat_call(parse_body(request.body), served, options_.max_texts), request);
}

HttpReply Api::answer_call(Call call, const ClientRequest& request) {
  const auto& [served, worker] = service();
  std::optional<PromptScoring> scoring;
  if (call.echo && call.options.log_probs) scoring = {.top = *call.options.log_probs, .every = static_cast<std::size_t>(call.n)};
  auto job = worker.submit(call.requests(), scoring, call.generates);
  auto following = std::make_shared<Following>(std::move(call), served.tokenizer, std::move(job), options_.request_timeout_s);
  following->accepted(request.there);
  if (!following->call().stream) return {.body = following->whole(request.there)};
  return {.content_type = "text/event-stream", .headers = {{"Cache-Control", "no-cache"}}, .stream = std::move(following)};
}

std::string Api::seeds_answer(const std::string& question, const ClientRequest& request) {
  const auto& [served, worker] = service();
  const auto& model = served.find("");
  Call call{.model = model.name, .adapter = model.adapter, .prompts = {model.ask(instruction_record(question, "", ""))}, .options = seeds_};
  auto job = worker.submit(call.requests(), std::nullopt, true);
  Following following(std::move(call), served.tokenizer, std::move(job), options_.request_timeout_s);
  return following.text(request.there);
}

HttpReply Api::seeds_query(const ClientRequest& request) {
  const auto question = request.head.path.substr(kQuery.size());
  require_utf8(question, "the question");
  const auto answer = seeds_answer(question, request);
  return reply(Json{{"query", question}, {"answer", answer}, {"time", now_text()}});
}

HttpReply Api::seeds_post(const ClientRequest& request) {
  const auto body = parse_body(request.body);
  const JsonFields fields(body);
  if (!fields.find("prompt")) throw ApiError::field("prompt", "nothing", "a string");
  const auto answer = seeds_answer(fields.text("prompt", ""), request);
  return reply(Json{{"response", answer}, {"status", 200}, {"time", now_text()}});
}

}  // namespace herd
