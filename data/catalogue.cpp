#include "data/catalogue.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "data/embedded.h"
#include "runtime/base/config.h"
#include "runtime/base/file.h"
#include "runtime/base/text.h"

namespace herd {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

void describe(Schema& s, CatalogueEntry& o) {
  s.field("title", o.title, "its full name");
  s.field("records", o.records, "how many it has").at_least(0);
  s.field("language", o.language, "EN, CN, ML …, joined by /");
  s.field("task", o.task, "MT: many tasks, TS: one");
  s.field("generation", o.generation, "HG: by people, SI: self-instruct, MIX, COL: collected");
  s.field("type", o.type, "what its records are about");
  s.field("made_by", o.made_by, "what or who wrote them");
  s.field("licence", o.licence, "its source's own");
  s.field("get", o.get, "where to get it");
  s.field("formatted", o.formatted, "how its records are written, in words");
  s.field("files", o.files, "its files");
  s.field("format", o.format, "how its records are written: one of `herd data formats`");
  s.field("columns", o.columns, "which column or field is which");
  s.field("hub", o.hub, "org/name of the hub");
}

std::vector<CatalogueEntry> read_yaml_list(const std::string& text, const std::string& place) {
  const auto tree = parse_yaml(text, {.source = place});
  if (!tree.is_map())
    throw ConfigError({.who = place, .found = "no mapping", .expected = "entries by alias: {title: …, files: […]}", .remedy = ""});
  std::vector<CatalogueEntry> out;
  for (const auto& item : tree.items) {
    CatalogueEntry entry;
    Schema schema;
    describe(schema, entry);
    schema.load(item);
    entry.alias = item.key;
    entry.place = item.key_origin.place();
    out.push_back(std::move(entry));
  }
  return out;
}

std::string text_at(const Json& object, const char* key, const std::string& place) {
  if (!object.contains(key) || object[key].is_null()) return "";
  if (object[key].is_string()) return object[key];
  throw ConfigError({.who = place, .found = fmt::format("'{}' that is no string", key), .expected = "a string", .remedy = ""});
}

// Of LLaMA-Factory's columns, those that a record here has, under the names they have here.
std::map<std::string, std::string> columns_of(const Json& columns, const std::string& place) {
  std::map<std::string, std::string> out;
  for (const auto& [theirs, ours] : {std::pair{"prompt", "instruction"}, {"query", "input"}, {"response", "output"}, {"system", "system"}})
    if (const auto name = text_at(columns, theirs, place); !name.empty()) out[ours] = name;
  return out;
}

std::vector<CatalogueEntry> read_dataset_info(const std::string& text, const fs::path& file) {
  const auto json = Json::parse(text, nullptr, false);
  if (!json.is_object())
    throw ConfigError({.who = file.string(), .found = "no JSON object", .expected = "data sets by name, as LLaMA-Factory's dataset_info.json", .remedy = ""});
  std::vector<CatalogueEntry> out;
  for (const auto& [alias, info] : json.items()) {
    const auto place = fmt::format("{}: '{}'", file.string(), alias);
    if (!info.is_object()) throw ConfigError({.who = place, .found = "no object", .expected = "{file_name: …}", .remedy = ""});
    CatalogueEntry entry{.alias = alias, .title = alias, .place = place};
    if (const auto name = text_at(info, "file_name", place); !name.empty()) entry.files.push_back((file.parent_path() / name).string());
    entry.hub = text_at(info, "hf_hub_url", place);
    if (info.contains("columns") && info["columns"].is_object()) entry.columns = columns_of(info["columns"], place);
    if (text_at(info, "formatting", place) == "sharegpt") {
      entry.columns.clear();  // messages and tags go by the names that sharegpt has anyway
      entry.format = info.contains("columns") && info["columns"].is_object() && text_at(info["columns"], "messages", place) == "messages" ? "openai" : "sharegpt";
    }
    if (info.contains("ranking") && info["ranking"] == true) entry.format = "preference", entry.columns.clear();
    out.push_back(std::move(entry));
  }
  return out;
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

}  // namespace

bool CatalogueEntry::has_tag(std::string_view tag) const {
  for (const auto* tags : {&language, &task, &generation}) {
    const auto framed = "/" + lower(*tags) + "/";
    if (framed.find("/" + lower(tag) + "/") != framed.npos) return true;
  }
  return false;
}

Catalogue::Catalogue(const std::vector<std::string>& more, fs::path folder) : folder_(std::move(folder)) {
  add(read_yaml_list(embedded_catalogue(), "configs/data/catalogue.yaml"));
  for (const auto& file : more) {
    const auto text = read_file(file);
    if (fs::path(file).extension() == ".json") {
      add(read_dataset_info(text, file));
      continue;
    }
    auto entries = read_yaml_list(text, file);
    for (auto& entry : entries)
      for (auto& path : entry.files) path = (fs::path(file).parent_path() / path).string();  // an absolute one stays
    add(std::move(entries));
  }
}

void Catalogue::add(std::vector<CatalogueEntry> entries) {
  for (auto& entry : entries) {
    if (const auto* known = find(entry.alias))
      throw ConfigError({.who = entry.place,
                         .found = "the alias '" + entry.alias + "', which " + known->place + " has already",
                         .expected = "each alias once",
                         .remedy = "give yours another name"});
    entries_.push_back(std::move(entry));
  }
}

const CatalogueEntry* Catalogue::find(std::string_view alias) const {
  const auto found = std::find_if(entries_.begin(), entries_.end(), [&](const CatalogueEntry& entry) { return entry.alias == alias; });
  return found == entries_.end() ? nullptr : &*found;
}

std::vector<std::string> Catalogue::aliases() const {
  std::vector<std::string> out;
  for (const auto& entry : entries_) out.push_back(entry.alias);
  return out;
}

std::vector<std::string> Catalogue::files_of(const CatalogueEntry& entry) const {
  std::vector<std::string> out;
  for (const auto& file : entry.files) {
    const auto path = fs::path(file).is_absolute() || fs::exists(file) ? fs::path(file) : folder_ / file;
    if (fs::exists(path)) {
      out.push_back(path.string());
    } else if (!entry.hub.empty()) {
      out.push_back("hub:" + entry.hub + "/" + file);
    } else {
      throw ConfigError({.who = "data set '" + entry.alias + "'",
                         .found = "no file " + path.string(),
                         .expected = "its files in data.folder (" + folder_.string() + ")",
                         .remedy = entry.get.empty() ? "" : "it is to be had from " + entry.get});
    }
  }
  if (out.empty() && !entry.hub.empty()) out.push_back("hub:" + entry.hub);
  if (out.empty())
    throw ConfigError({.who = "data set '" + entry.alias + "'",
                       .found = "no files: the catalogue tells of it, but not what its files are called",
                       .expected = "an entry of your own with 'files' (data.catalogue), or the file itself in data.sets",
                       .remedy = entry.get.empty() ? "" : "it is to be had from " + entry.get});
  return out;
}

}  // namespace herd
