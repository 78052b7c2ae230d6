#include "runtime/net/hub_client.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>

#include "runtime/base/log.h"
#include "runtime/net/hub_cache.h"

namespace herd {
namespace {

constexpr std::size_t kLongestListing = std::size_t{64} << 20;
constexpr double kLongestWait_s = 300;
constexpr const char* kEndpoint = "is HF_ENDPOINT right?";

/// What a server says in a header, as far as it belongs on a terminal.
std::string quotable(std::string text) {
  std::erase_if(text, [](unsigned char c) { return c < ' ' || c > '~'; });
  return text.substr(0, 200);
}

/// An ETag without its quotes and its mark of weakness.
std::string plain_etag(std::string text) {
  if (text.starts_with("W/")) text.erase(0, 2);
  std::erase(text, '"');
  return text;
}

bool is_hash(const std::string& text) {
  return (text.size() == 40 || text.size() == 64) && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

std::string who(const HubRepo& repo, const std::string& file) { return repo.title() + (file.empty() ? "" : ", file " + file); }

bool is_passing(const HttpResponse& r) {
  return r.failure == HttpFailure::kNone ? r.status == 408 || r.status == 429 || r.status >= 500
                                         : r.failure == HttpFailure::kBroken || r.failure == HttpFailure::kNoConnection;
}

std::string reason(const HttpResponse& r) { return r.failure == HttpFailure::kNone ? fmt::format("HTTP {}", r.status) : r.why; }

/// Where the bytes of a 206 begin; nothing where it does not say.
std::optional<std::uint64_t> range_begin(const HttpResponse& head) {
  unsigned long long from = 0, to = 0;
  if (std::sscanf(head.header("content-range").c_str(), "bytes %llu-%llu", &from, &to) != 2) return std::nullopt;
  return from;
}

}  // namespace

/// The tries of one piece of work.
class HubClient::Retries {
 public:
  Retries(HubClient& hub, std::string what) : hub_(hub), what_(std::move(what)) {}
  /// Waits, where another try may help. @return whether it may.
  bool again(const HttpResponse& response) {
    const bool stranger = response.failure == HttpFailure::kNoConnection && !hub_.answered_;
    if (!is_passing(response) || stranger || ++failed_ >= hub_.policy_.tries) return false;
    const auto asked_s = static_cast<double>(response.number("retry-after").value_or(0));
    if (asked_s > kLongestWait_s) return false;
    const auto wait_s = std::max(asked_s, hub_.policy_.wait_s * static_cast<double>(1 << (failed_ - 1)));
    log_info("{}: {}; once more in {:g} s", what_, reason(response), wait_s);
    std::this_thread::sleep_for(std::chrono::duration<double>(wait_s));
    return true;
  }
  /// It goes forward: count anew.
  void progressed() { failed_ = 0; }

 private:
  HubClient& hub_;
  std::string what_;
  int failed_ = 0;
};

HubClient::HubClient(HubSettings settings, RetryPolicy retries) : settings_(std::move(settings)), policy_(retries) {}

HttpRequest HubClient::request(std::string url) const {
  // Identity: a compressed answer would have another length.
  return {.url = std::move(url), .headers = {"Accept-Encoding: identity"}, .token = settings_.token, .timeout_s = settings_.timeout_s};
}

std::string HubClient::file_url(const HubRepo& repo, const std::string& commit, const std::string& file) const {
  return fmt::format("{}/{}{}/resolve/{}/{}", settings_.endpoint, repo.kind == HubKind::kDataset ? "datasets/" : "", repo.name, commit,
                     percent_encoded(file, "/"));
}

void HubClient::fail(const HttpResponse& r, const HubRepo& repo, const std::string& file) const {
  const auto code = r.header("x-error-code"), said = quotable(r.header("x-error-message"));
  const auto complain = [&](const std::string& found, const std::string& expected, const std::string& remedy) {
    throw IoError({.who = who(repo, file), .found = found, .expected = expected, .remedy = remedy});
  };
  if (is_passing(r)) {
    const auto wait = r.number("retry-after");
    throw HubUnreachable({.who = who(repo, file),
                          .found = fmt::format("no whole answer from {}: {}{}", settings_.endpoint, reason(r),
                                               wait ? fmt::format(", not for {} s", *wait) : ""),
                          .expected = "",
                          .remedy = "try again later, or name a mirror (HF_ENDPOINT); HF_HUB_OFFLINE=1 takes what was fetched before"});
  }
  if (r.failure != HttpFailure::kNone) complain(settings_.endpoint + ": " + r.why, "an answer over HTTP", kEndpoint);
  const bool with_token = !settings_.token.empty();
  const auto token = "give a token of an account that may: HF_TOKEN, or the file HF_HOME/token";
  if (code == "GatedRepo")
    complain("gated: its owner asks to accept terms first" + (said.empty() ? "" : " (" + said + ")"), "access",
             fmt::format("accept them at {}/{}{}, then {}", settings_.endpoint, repo.kind == HubKind::kDataset ? "datasets/" : "",
                         repo.name, token));
  if (code == "RevisionNotFound") complain("no revision '" + repo.revision + "'", "a branch, a tag or a commit", "");
  if (code == "EntryNotFound") complain("no such file", "one of the repository's", "");
  if (r.status == 401 || (r.status == 404 && (code == "RepoNotFound" || code.empty())))
    complain(fmt::format("HTTP {}: none of that name at {}, or a private one that {}", r.status, settings_.endpoint,
                         with_token ? "this token does not open" : "wants a token"),
             "a repository that can be read", fmt::format("check the name; {}", token));
  if (r.status == 403)
    complain("HTTP 403" + (said.empty() ? "" : ": " + said), "access",
             with_token ? "this token may not read it: " + std::string(token) : token);
  complain(fmt::format("HTTP {}{}", r.status, said.empty() ? "" : ": " + said), "the hub's answer", kEndpoint);
  __builtin_unreachable();
}

HttpResponse HubClient::ask(const HttpRequest& request, const HubRepo& repo, const std::string& file, std::string& body) {
  Retries retries(*this, who(repo, file));
  for (;;) {
    body.clear();
    const auto response = http_.send(request, [&](const HttpResponse&, std::string_view bytes) {
      if (body.size() + bytes.size() > kLongestListing)
        throw IoError({.who = who(repo, file),
                       .found = "an answer without end",
                       .expected = fmt::format("at most {} bytes", kLongestListing),
                       .remedy = kEndpoint});
      body += bytes;
    });
    answered_ = answered_ || response.status > 0;
    const bool led_away = request.head && response.failure == HttpFailure::kNone && response.status / 100 == 3;
    if (response.good() || led_away) return response;
    if (!retries.again(response)) fail(response, repo, file);
  }
}

HubListing HubClient::list(const HubRepo& repo) {
  const auto nonsense = [&](const std::string& found, const std::string& expected) {
    throw IoError({.who = repo.title(), .found = found, .expected = expected, .remedy = kEndpoint});
  };
  const auto url = fmt::format("{}/api/{}/{}/revision/{}", settings_.endpoint, repo.kind == HubKind::kModel ? "models" : "datasets",
                               repo.name, percent_encoded(repo.revision));
  std::string text;
  ask(request(url), repo, "", text);
  const auto json = nlohmann::json::parse(text, nullptr, false);
  HubListing listing;
  const auto sha = json.is_object() ? json.find("sha") : json.end();
  if (!json.is_object() || sha == json.end() || !sha->is_string() || !is_commit(sha->get<std::string>()) || !json.contains("siblings") ||
      !json["siblings"].is_array())
    nonsense("an answer at " + settings_.endpoint + " that lists no commit and files", "the hub's JSON");
  listing.commit = sha->get<std::string>();
  for (const auto& sibling : json["siblings"]) {
    if (!sibling.is_object() || !sibling.contains("rfilename") || !sibling["rfilename"].is_string())
      nonsense("a file without a name", "'rfilename'");
    listing.files.push_back(sibling["rfilename"].get<std::string>());
    if (!is_file_name(listing.files.back()))
      nonsense("a file named " +
                   nlohmann::json(listing.files.back().substr(0, 200)).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace),
               "a path inside the repository, of names of at most 255 bytes");
  }
  return listing;
}

HubFile HubClient::describe(const HubRepo& repo, const std::string& commit, const std::string& file) {
  auto head = request(file_url(repo, commit, file));
  head.head = true;
  head.leave_host = false;  // large files are redirected to where they are stored, with their hash on the redirect
  std::string nothing;
  const auto response = ask(head, repo, file, nothing);
  const auto nonsense = [&](const std::string& found, const std::string& expected) {
    throw IoError({.who = who(repo, file), .found = found, .expected = expected, .remedy = kEndpoint});
  };
  if (const auto told = response.header("x-repo-commit"); told != commit)
    nonsense(told.empty() ? "an answer without X-Repo-Commit" : "commit " + quotable(told), "commit " + commit);
  const auto linked = response.header("x-linked-etag");
  HubFile out{.name = file, .etag = plain_etag(linked.empty() ? response.header("etag") : linked)};
  if (!is_hash(out.etag))
    nonsense("ETag '" + quotable(out.etag) + "'", "a hash that its bytes can be held against: SHA-256, or git's SHA-1");
  const auto size =
      linked.empty() || response.header("x-linked-size").empty() ? response.number("content-length") : response.number("x-linked-size");
  if (!size) nonsense("no size", "X-Linked-Size or Content-Length");
  out.size = *size;
  return out;
}

void HubClient::download(const HubRepo& repo, const std::string& commit, const HubFile& file, std::uint64_t from,
                         const std::function<void(std::uint64_t)>& begin, const std::function<void(std::string_view)>& take) {
  Retries retries(*this, who(repo, file.name));
  auto here = from, farthest = from;
  while (here < file.size) {
    auto get = request(file_url(repo, commit, file.name));
    if (here > 0) get.headers.push_back(fmt::format("Range: bytes={}-", here));
    bool began = false;
    auto response = http_.send(get, [&](const HttpResponse& head, std::string_view bytes) {
      if (!began) {
        const auto start = head.status == 206 ? range_begin(head).value_or(file.size) : 0;
        if (start != here && start != 0)
          throw IoError({.who = who(repo, file.name),
                         .found = "Content-Range '" + quotable(head.header("content-range")) + "'",
                         .expected = fmt::format("bytes from {} on", here),
                         .remedy = kEndpoint});
        begin(here = start);
        began = true;
      }
      if (bytes.size() > file.size - here)
        throw IoError({.who = who(repo, file.name),
                       .found = fmt::format("more than {} bytes", file.size),
                       .expected = "as many as the hub said before",
                       .remedy = "fetch again"});
      take(bytes);
      here += bytes.size();
    });
    answered_ = answered_ || response.status > 0;
    if (here == file.size) return;
    if (response.good()) {
      response.failure = HttpFailure::kBroken;
      response.why = fmt::format("the answer ended after {} of {} bytes", here, file.size);
    }
    if (response.failure == HttpFailure::kNone && response.status == 416)
      here = 0, response.failure = HttpFailure::kBroken, response.why = "HTTP 416";
    if (here > farthest) farthest = here, retries.progressed();
    if (!retries.again(response)) fail(response, repo, file.name);
  }
}

}  // namespace herd
