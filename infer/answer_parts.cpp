#include "infer/answer_parts.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>

#include "runtime/base/text.h"

namespace herd {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

// Nothing for what is no whole line of ours: a machine that lost its power may leave zeros in the middle of a file.
std::optional<StoredAnswer> parse(std::string_view line) {
  try {
    const auto json = Json::parse(line);
    return StoredAnswer{.record = json.at("record"), .text = json.at("generated"), .finish = json.at("finish"), .new_tokens = json.at("new_tokens")};
  } catch (const Json::exception&) {
    return std::nullopt;
  }
}

// The number of a start in the name of a file of it; 0: it is none.
int start_of(const fs::path& file) {
  int start = 0;
  return std::sscanf(file.filename().c_str(), "part-%d-", &start) == 1 ? start : 0;
}

void refuse_others(const fs::path& folder, const AnswerSettings& wanted, const AnswerSettings& stored) {
  auto names = wanted;
  names.insert(stored.begin(), stored.end());
  std::vector<std::string> there, asked;
  for (const auto& [name, any] : names) {
    const auto value = [&name = name](const AnswerSettings& settings) {
      const auto at = settings.find(name);
      return at == settings.end() ? "none" : at->second;
    };
    if (value(stored) == value(wanted)) continue;
    there.push_back(fmt::format("{} {}", name, value(stored)));
    asked.push_back(fmt::format("{} {}", name, value(wanted)));
  }
  if (there.empty()) return;
  throw ConfigError({.who = folder.string(),
                     .found = "answers of " + join(there),
                     .expected = join(asked) + ", as asked for now",
                     .remedy = "go on as before, choose another --output, or remove that folder to begin anew"});
}

}  // namespace

std::vector<fs::path> AnswerParts::files() const {
  std::vector<fs::path> out;
  for (const auto& entry : fs::directory_iterator(folder_))
    if (start_of(entry.path()) > 0) out.push_back(entry.path());
  std::sort(out.begin(), out.end());
  return out;
}

int AnswerParts::open(const AnswerSettings& settings) const {
  make_folder(folder_);
  int last = 0;
  for (const auto& file : files()) last = std::max(last, start_of(file));
  const auto about = folder_ / "settings.json";
  if (last == 0) {
    write_file_atomically(about, Json(settings).dump(2) + "\n");
    return 1;
  }
  const auto stored = Json::parse(read_file(about), nullptr, false);
  if (!stored.is_object()) throw IoError({.who = about.string(), .found = "no JSON object", .expected = "what its answers are of", .remedy = "remove that folder to begin anew"});
  AnswerSettings former;
  for (const auto& [name, value] : stored.items()) former[name] = value.is_string() ? value.get<std::string>() : value.dump();
  refuse_others(folder_, settings, former);
  return last + 1;
}

std::map<std::size_t, StoredAnswer> AnswerParts::read() const {
  std::map<std::size_t, StoredAnswer> all;
  for (const auto& file : files()) {
    const auto text = read_file(file);
    for (std::size_t at = 0, end = 0; (end = text.find('\n', at)) != text.npos; at = end + 1)
      if (auto answer = parse(std::string_view(text).substr(at, end - at))) all.emplace(answer->record, std::move(*answer));
  }
  return all;
}

File AnswerParts::part(int start, int rank) const { return File(folder_ / fmt::format("part-{}-{}.jsonl", start, rank), File::Mode::append); }

std::string AnswerParts::line(std::size_t record, const Generation& generation) {
  const Json json{{"record", record}, {"generated", generation.text}, {"finish", name(generation.finish)}, {"new_tokens", generation.ids.size()}};
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

void AnswerParts::remove() const { fs::remove_all(folder_); }

}  // namespace herd
