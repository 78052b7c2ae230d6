#include <nlohmann/json.hpp>

#include "runtime/base/text.h"
#include "runtime/tensor/safetensors.h"

namespace herd {
namespace {

namespace fs = std::filesystem;

constexpr const char* kAgain = "download or write the folder again";

/// {tensor: shard} of an index file.
std::map<std::string, std::string> read_index(const fs::path& path) {
  const auto complain = [&](std::string found, std::string expected) {
    throw IoError({.who = path.string(), .found = std::move(found), .expected = std::move(expected), .remedy = kAgain});
  };
  nlohmann::json json;
  try {
    json = nlohmann::json::parse(read_file(path));
  } catch (const nlohmann::json::exception& error) {
    complain(error.what(), "JSON");
  }
  if (!json.is_object() || !json.contains("weight_map") || !json["weight_map"].is_object()) complain("no 'weight_map'", "{tensor: shard}");
  std::map<std::string, std::string> shards;
  for (const auto& [name, shard] : json["weight_map"].items()) {
    // A shard lies beside its index: a path could lead anywhere.
    if (!shard.is_string() || fs::path(shard.get<std::string>()).filename() != shard.get<std::string>() || shard.get<std::string>().empty())
      complain("'" + name + "': " + shard.dump(), "the name of a file beside it");
    shards[name] = shard.get<std::string>();
  }
  if (shards.empty()) complain("an empty 'weight_map'", "{tensor: shard}");
  return shards;
}

}  // namespace

Weights::Weights(std::vector<SafetensorsFile> files) : files_(std::move(files)) {
  for (std::size_t i = 0; i < files_.size(); ++i) {
    for (const auto& name : files_[i].names()) {
      const auto [place, fresh] = owner_.emplace(name, i);
      if (fresh) continue;
      throw IoError({.who = files_[i].path().string() + ": tensor '" + name + "'",
                     .found = "it is in " + files_[place->second].path().filename().string() + " too",
                     .expected = "each tensor once",
                     .remedy = kAgain});
    }
  }
}

std::vector<std::string> Weights::names() const {
  std::vector<std::string> names;
  for (const auto& entry : owner_) names.push_back(entry.first);
  return names;
}

const SafetensorsFile& Weights::file_of(const std::string& name) const {
  const auto found = owner_.find(name);
  if (found != owner_.end()) return files_[found->second];
  const auto near = nearest(name, names());
  const auto where = files_.empty() ? std::string("no file")
                     : files_.size() == 1 ? files_[0].path().string()
                                          : files_[0].path().parent_path().string() + " (" + std::to_string(files_.size()) + " shards)";
  throw IoError({.who = where,
                 .found = "no tensor '" + name + "' among its " + std::to_string(owner_.size()),
                 .expected = "",
                 .remedy = near.empty() ? "" : "did you mean '" + near + "'?"});
}

Weights open_weights(const fs::path& folder, const std::string& stem) {
  std::vector<SafetensorsFile> files;
  if (fs::is_regular_file(folder)) {
    files.emplace_back(folder);
    return Weights(std::move(files));
  }
  const auto whole = folder / (stem + ".safetensors"), index = folder / (stem + ".safetensors.index.json");
  if (fs::exists(whole)) {
    files.emplace_back(whole);
    return Weights(std::move(files));
  }
  if (!fs::exists(index)) {
    throw IoError({.who = folder.string(),
                   .found = fs::is_directory(folder) ? "neither " + whole.filename().string() + " nor " + index.filename().string() : "no such folder",
                   .expected = "a folder of safetensors weights",
                   .remedy = "check the path"});
  }
  const auto shards = read_index(index);
  std::map<std::string, std::size_t> opened;
  for (const auto& [name, shard] : shards) {
    if (opened.contains(shard)) continue;
    if (!fs::exists(folder / shard)) {
      throw IoError({.who = (folder / shard).string(),
                     .found = "no such file",
                     .expected = "the shard that " + index.filename().string() + " names for '" + name + "'",
                     .remedy = kAgain});
    }
    opened.emplace(shard, files.size());
    files.emplace_back(folder / shard);
  }
  Weights weights(std::move(files));
  for (const auto& [name, shard] : shards) {
    const auto owner = weights.owner_.find(name);
    if (owner != weights.owner_.end() && owner->second == opened.at(shard)) continue;
    throw IoError({.who = (folder / shard).string() + ": tensor '" + name + "'",
                   .found = "it is not in this shard",
                   .expected = "as " + index.filename().string() + " says",
                   .remedy = kAgain});
  }
  return weights;
}

}  // namespace herd
