#include "runtime/net/hub_settings.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>

#include "runtime/base/file.h"

namespace herd {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kLongestName = 255, kLongestPath = 1024, kLongestRepo = 96;  // Linux's names, herd's paths, the hub's names

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

fs::path home() { return variable("HOME").empty() ? fs::path("/") : fs::path(variable("HOME")); }

/// The folder that a variable names, `~` being the user's; else another.
fs::path folder(const char* name, const fs::path& otherwise) {
  const auto value = variable(name);
  if (value.empty()) return otherwise;
  return value == "~" ? home() : value.starts_with("~/") ? home() / value.substr(2) : fs::path(value);
}

bool is_true(std::string value) {
  std::transform(value.begin(), value.end(), value.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return value == "1" || value == "TRUE" || value == "YES" || value == "ON";
}

ConfigError wrong(const std::string& name, const std::string& found, const std::string& expected) {
  return ConfigError({.who = name, .found = found, .expected = expected, .remedy = "it stands in the environment (docs/fetch.md)"});
}

std::string endpoint() {
  auto value = variable("HF_ENDPOINT");
  if (value.empty()) return HubSettings().endpoint;
  while (value.ends_with('/')) value.pop_back();
  if (!value.starts_with("https://") && !value.starts_with("http://"))
    throw wrong("HF_ENDPOINT", "'" + value + "'", "https://… or http://…");
  return value;
}

std::string token(const fs::path& hub_home) {
  auto text = variable("HF_TOKEN");
  std::string from = "HF_TOKEN";
  if (text.empty()) {
    const auto file = folder("HF_TOKEN_PATH", hub_home / "token");
    from = file.string();
    if (fs::is_regular_file(file)) text = read_file(file);
  }
  const auto blank = [](unsigned char c) { return c <= ' '; };
  text.erase(text.begin(), std::find_if_not(text.begin(), text.end(), blank));
  text.erase(std::find_if_not(text.rbegin(), text.rend(), blank).base(), text.end());
  if (std::any_of(text.begin(), text.end(), [](unsigned char c) { return c <= ' ' || c > '~'; }))  // it becomes a line of a request
    throw wrong(from, "a token with blanks or other characters that no token has", "one word");
  return text;
}

double timeout_s() {
  const auto text = variable("HF_HUB_DOWNLOAD_TIMEOUT");
  if (text.empty()) return HubSettings().timeout_s;
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < 1 || value > 86400)
    throw wrong("HF_HUB_DOWNLOAD_TIMEOUT", "'" + text + "'", "seconds from 1 on");
  return value;
}

/// A name between slashes, as organisations and repositories have it.
bool is_repo_part(std::string_view text) {
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
  };
  const auto edge = [](char c) { return c == '-' || c == '.'; };
  return !text.empty() && std::all_of(text.begin(), text.end(), plain) && !edge(text.front()) && !edge(text.back()) &&
         text.find("--") == text.npos && text.find("..") == text.npos;
}

/// Whether every part of a path between slashes is an ordinary name.
template <class Good>
bool is_path_of(std::string_view text, const Good& good_character) {
  if (text.empty() || text.size() > kLongestPath) return false;
  for (std::size_t begin = 0; begin <= text.size();) {
    const auto end = std::min(text.find('/', begin), text.size());
    const auto part = text.substr(begin, end - begin);
    if (part.empty() || part == "." || part == ".." || part.size() > kLongestName) return false;
    if (!std::all_of(part.begin(), part.end(), good_character)) return false;
    begin = end + 1;
  }
  return true;
}

}  // namespace

HubSettings hub_settings() {
  const auto hub_home = folder("HF_HOME", folder("XDG_CACHE_HOME", home() / ".cache") / "huggingface");
  return {.endpoint = endpoint(),
          .token = token(hub_home),
          .cache = fs::absolute(folder("HF_HUB_CACHE", hub_home / "hub")),
          .offline = is_true(variable("HF_HUB_OFFLINE")),
          .timeout_s = timeout_s()};
}

std::string HubRepo::title() const { return (kind == HubKind::kModel ? "model " : "data set ") + name + "@" + revision; }

bool is_revision(std::string_view text) {
  return is_path_of(text, [](unsigned char c) {
    return c > ' ' && c <= '~' && std::string_view("\\?*[~^:#%").find(static_cast<char>(c)) == std::string_view::npos;
  });
}

bool is_file_name(std::string_view text) {
  return is_path_of(text, [](unsigned char c) { return c >= ' ' && c != 0x7f && c != '\\'; });
}

std::optional<HubRepo> parse_hub_repo(std::string_view text, HubKind kind) {
  HubRepo repo{.kind = kind};
  const auto at = text.find('@');
  if (at != text.npos) repo.revision = text.substr(at + 1);
  repo.name = text.substr(0, at);
  const auto slash = repo.name.find('/');
  if (slash == std::string::npos || repo.name.size() > kLongestRepo) return std::nullopt;
  const std::string_view name = repo.name;
  if (!is_repo_part(name.substr(0, slash)) || !is_repo_part(name.substr(slash + 1)) || !is_revision(repo.revision)) return std::nullopt;
  return repo;
}

}  // namespace herd
