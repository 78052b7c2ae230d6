#include "launch/hub_places.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "parallel/comm/agree.h"
#include "runtime/base/log.h"
#include "runtime/base/text.h"

namespace herd {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kHub = "hub:";
// Each silence within a fetch has its own time-out, and so has each try: waiting for who fetches needs none.
constexpr double kLongestFetch_s = 30 * 86400.0;

Fetched fetch(const HubRepo& repo, const SelectFiles& select) {
  const auto settings = hub_settings();
  if (settings.offline) return cached_repo(settings, repo, select);
  try {
    return fetch_repo(settings, repo, select);
  } catch (const HubUnreachable& error) {
    Fetched cached;
    try {
      cached = cached_repo(settings, repo, select);
    } catch (const IoError&) {
      throw error;  // the cause, not that the cache does not help
    }
    log_warning("{}\n       going on with what was fetched before: commit {}", error.what(), cached.commit);
    return cached;
  }
}

/// Runs a fetch for `key`, with which its errors begin. @param hint a line at their end.
auto for_key(const std::string& key, const std::string& hint, const auto& work) {
  try {
    return work();
  } catch (const IoError& error) {
    auto complaint = error.complaint();
    complaint.who = key + ": " + complaint.who;
    if (!complaint.remedy.empty() && !hint.empty()) complaint.remedy += "\n       ";
    complaint.remedy += hint;
    throw IoError(std::move(complaint));
  }
}

/// A recipe's value that may be an id.
struct Place {
  std::string key;
  std::string* text;
  std::optional<HubUse> use;  ///< none: records
};

std::vector<Place> places(RunConfig& config, HubUse model) {
  std::vector<Place> all{{"model.path", &config.model.path, model},
                         {"model.tokenizer", &config.model.tokenizer, HubUse::kTokenizer},
                         {"peft.adapter", &config.peft.adapter, HubUse::kAdapter}};
  for (auto& set : config.data.sets) all.push_back({"data.sets", &set.name, std::nullopt});
  return all;
}

std::string local(const Place& place) {
  return place.use ? hub_folder(*place.text, *place.use, place.key) : hub_records(*place.text, place.key);
}

}  // namespace

std::string hub_folder(const std::string& place, HubUse use, const std::string& key) {
  if (place.empty() || fs::exists(place)) return place;
  const auto repo = parse_hub_repo(place, HubKind::kModel);
  if (!repo) return place;  // whoever reads it says what is missing
  const auto hint = "(taken for a hub's id, since nothing here is called '" + place + "')";
  return for_key(key, hint, [&] { return fetch(*repo, files_for(use)).folder.string(); });
}

std::string hub_records(const std::string& place, const std::string& key) {
  if (!place.starts_with(kHub) || fs::exists(place)) return place;
  const auto id = place.substr(kHub.size());
  const auto slash = id.find('/'), end = slash == std::string::npos ? slash : id.find('/', slash + 1);
  const auto file = end == std::string::npos ? "" : id.substr(end + 1);
  const auto repo = parse_hub_repo(id.substr(0, end), HubKind::kDataset);
  if (!repo || (end != std::string::npos && !is_file_name(file)))
    throw ConfigError(
        {.who = key, .found = "'" + place + "'", .expected = "hub:org/name/FILE, or hub:org/name@revision/FILE", .remedy = ""});
  return for_key(key, "", [&] {
    const auto fetched = fetch(*repo, [&](const std::vector<std::string>& names) -> std::vector<std::string> {
      if (!file.empty() && std::find(names.begin(), names.end(), file) != names.end()) return {file};
      const auto records = record_files(names);
      if (file.empty() && records.size() == 1) return records;
      throw IoError(
          {.who = repo->title(),
           .found = file.empty() ? plural(static_cast<std::int64_t>(records.size()), "file") + " of records" : "no file '" + file + "'",
           .expected = "one of " + join(records),
           .remedy = "name it: hub:" + repo->name + "/" + records.front()});
    });
    return (fetched.folder / fetched.files.front()).string();
  });
}

void fetch_run(RunConfig& config, HubUse model) {
  for (const auto& place : places(config, model)) *place.text = local(place);
}

std::vector<std::string> fetch_run(RunConfig& config, Communicator& communicator) {
  const DeadlineScope patience(communicator, kLongestFetch_s);
  const bool leads = communicator.local_rank() == 0;
  communicator.note(leads ? "fetching from the hub" : "waiting for this node's first rank, which fetches from the hub");
  const auto fetched = agree(communicator, [&] {
    std::vector<std::string> found;
    if (!leads) return found;
    for (const auto& place : places(config, HubUse::kModel)) found.push_back(local(place));
    return found;
  });
  std::vector<std::string> lines;
  const auto all = all_gather_string(communicator, nlohmann::json{{"node", communicator.node_rank()}, {"places", fetched}}.dump());
  for (const auto& text : all) {
    const auto told = nlohmann::json::parse(text);
    if (told["node"] != communicator.node_rank() || told["places"].empty()) continue;
    const auto mine = places(config, HubUse::kModel);
    for (std::size_t i = 0; i < mine.size(); ++i) {
      const auto found = told["places"][i].get<std::string>();
      if (found != *mine[i].text) lines.push_back(fmt::format("{} {}: {}", mine[i].key, *mine[i].text, found));
      *mine[i].text = found;
    }
  }
  return lines;
}

}  // namespace herd
