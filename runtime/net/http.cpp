#include "runtime/net/http.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <exception>
#include <utility>

#include "runtime/base/error.h"

namespace herd {
namespace {

constexpr int kMaxRedirects = 10;

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

std::string_view trimmed(std::string_view text) {
  const auto blank = [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

/// `https://host:443` of a URL; "" where it is none.
std::string origin_of(const std::string& url) {
  const std::unique_ptr<CURLU, decltype(&curl_url_cleanup)> parsed(curl_url(), curl_url_cleanup);
  if (!parsed || curl_url_set(parsed.get(), CURLUPART_URL, url.c_str(), 0) != CURLUE_OK) return "";
  std::string origin;
  for (const auto part : {CURLUPART_SCHEME, CURLUPART_HOST, CURLUPART_PORT}) {
    char* text = nullptr;
    if (curl_url_get(parsed.get(), part, &text, part == CURLUPART_PORT ? CURLU_DEFAULT_PORT : 0) != CURLUE_OK) return "";
    origin += lower(text) + (part == CURLUPART_PORT ? "" : ":");
    curl_free(text);
  }
  return origin;
}

HttpFailure failure_of(CURLcode code, bool connected) {
  switch (code) {
    case CURLE_OK: return HttpFailure::kNone;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT: return HttpFailure::kNoConnection;
    case CURLE_OPERATION_TIMEDOUT: return connected ? HttpFailure::kBroken : HttpFailure::kNoConnection;
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_WEIRD_SERVER_REPLY: return HttpFailure::kBroken;
    default: return HttpFailure::kRefused;
  }
}

}  // namespace

std::string HttpResponse::header(const std::string& name) const {
  const auto at = headers.find(name);
  return at == headers.end() ? "" : at->second;
}

std::optional<std::uint64_t> HttpResponse::number(const std::string& name) const {
  const auto text = header(name);
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

struct Http::State {
  CURL* curl = nullptr;
  HttpResponse response;
  const std::function<void(const HttpResponse&, std::string_view)>* take = nullptr;
  std::exception_ptr thrown;
  char why[CURL_ERROR_SIZE] = {};

  State() {
    static const CURLcode ready = curl_global_init(CURL_GLOBAL_DEFAULT);
    if (ready == CURLE_OK) curl = curl_easy_init();
    if (!curl) throw Error({.who = "libcurl", .found = "cannot be set up"});
  }
  ~State() { curl_easy_cleanup(curl); }

  static std::size_t on_header(char* bytes, std::size_t, std::size_t count, void* self) {
    auto& headers = static_cast<State*>(self)->response.headers;
    const std::string_view line(bytes, count);
    const auto colon = line.find(':');
    if (line.starts_with("HTTP/")) headers.clear();  // of an answer before this one, such as 100
    else if (colon != line.npos) headers[lower(line.substr(0, colon))] = trimmed(line.substr(colon + 1));
    return count;
  }

  static std::size_t on_body(char* bytes, std::size_t, std::size_t count, void* self) {
    auto& state = *static_cast<State*>(self);
    curl_easy_getinfo(state.curl, CURLINFO_RESPONSE_CODE, &state.response.status);
    if (!state.response.good() || !*state.take) return count;
    try {
      (*state.take)(state.response, {bytes, count});
      return count;
    } catch (...) {
      state.thrown = std::current_exception();
      return CURL_WRITEFUNC_ERROR;
    }
  }

  void set(const HttpRequest& request, const std::string& url, const curl_slist* headers) {
    curl_easy_reset(curl);  // keeps connections
    why[0] = 0;
    const auto option = [&](CURLoption name, auto value) {
      if (const auto code = curl_easy_setopt(curl, name, value); code != CURLE_OK)
        throw Error({.who = "libcurl", .found = fmt::format("cannot set option {}: {}", static_cast<int>(name), curl_easy_strerror(code))});
    };
    const auto timeout_s = static_cast<long>(std::ceil(request.timeout_s));
    option(CURLOPT_URL, url.c_str());
    option(CURLOPT_PROTOCOLS_STR, "http,https");
    option(CURLOPT_NOBODY, request.head ? 1L : 0L);
    if (request.body) {
      option(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body->size()));
      option(CURLOPT_POSTFIELDS, request.body->data());
    }
    option(CURLOPT_HTTPHEADER, headers);
    option(CURLOPT_USERAGENT, "herd");
    option(CURLOPT_CONNECTTIMEOUT, timeout_s);
    option(CURLOPT_LOW_SPEED_LIMIT, 1L);
    option(CURLOPT_LOW_SPEED_TIME, timeout_s);
    option(CURLOPT_NOSIGNAL, 1L);
    option(CURLOPT_BUFFERSIZE, 256L << 10);
    option(CURLOPT_ERRORBUFFER, why);
    option(CURLOPT_HEADERFUNCTION, &State::on_header);
    option(CURLOPT_HEADERDATA, this);
    option(CURLOPT_WRITEFUNCTION, &State::on_body);
    option(CURLOPT_WRITEDATA, this);
  }

  /// One request and its answer. @return where the answer redirects to; "" where it does not.
  std::string exchange(const HttpRequest& request, const std::string& url, bool with_token) {
    response = {};
    std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)> headers(nullptr, curl_slist_free_all);
    const auto add = [&](const std::string& line) {
      auto* const longer = curl_slist_append(headers.get(), line.c_str());
      if (!longer) throw std::bad_alloc();
      static_cast<void>(headers.release());
      headers.reset(longer);
    };
    for (const auto& line : request.headers) add(line);
    if (with_token) add("Authorization: Bearer " + request.token);
    set(request, url, headers.get());
    const auto code = curl_easy_perform(curl);
    if (thrown) std::rethrow_exception(std::exchange(thrown, nullptr));
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &response.status);
    curl_off_t connected_us = 0;
    curl_easy_getinfo(curl, CURLINFO_CONNECT_TIME_T, &connected_us);
    response.failure = failure_of(code, connected_us > 0);
    if (code != CURLE_OK) response.why = why[0] ? why : curl_easy_strerror(code);
    char* next = nullptr;
    curl_easy_getinfo(curl, CURLINFO_REDIRECT_URL, &next);
    return code == CURLE_OK && next ? next : "";
  }
};

Http::Http() : state_(std::make_unique<State>()) {}
Http::~Http() = default;

HttpResponse Http::send(const HttpRequest& request, const std::function<void(const HttpResponse&, std::string_view)>& take) {
  state_->take = &take;
  const auto refuse = [&](const std::string& why) {
    state_->response.failure = HttpFailure::kRefused;
    state_->response.why = why;
    return state_->response;
  };
  const auto home = origin_of(request.url);
  auto url = request.url;
  bool with_token = !request.token.empty();
  for (int redirects = 0; redirects <= kMaxRedirects; ++redirects) {
    const auto next = state_->exchange(request, url, with_token);
    if (next.empty()) return state_->response;
    const bool leaves = origin_of(next) != home;
    if (leaves && !request.leave_host) return state_->response;
    if (url.starts_with("https:") && !next.starts_with("https:")) return refuse("a redirect from https to " + origin_of(next));
    with_token = with_token && !leaves;
    url = next;
  }
  return refuse(fmt::format("more than {} redirects", kMaxRedirects));
}

std::string percent_encoded(std::string_view text, std::string_view keep) {
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       std::string_view("-._~").find(c) != std::string_view::npos;
    if (plain || keep.find(c) != keep.npos) out += c;
    else out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

}  // namespace herd
