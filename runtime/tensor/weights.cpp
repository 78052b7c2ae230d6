#include "runtime/tensor/weights.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "runtime/base/text.h"
#include "runtime/tensor/dtype.h"
#include "runtime/tensor/safetensors.h"
#include "runtime/tensor/torch_file.h"

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
      complain("'" + name + "': " + (shard.is_string() ? shard.get<std::string>() : "no text"), "the name of a file beside it");
    shards[name] = shard.get<std::string>();
  }
  if (shards.empty()) complain("an empty 'weight_map'", "{tensor: shard}");
  return shards;
}

/// The names under which a folder may hold weights, the preferred first.
struct Layout {
  std::string whole, index;
};
std::vector<Layout> layouts(const std::string& stem) {
  const auto torch_stem = stem == "model" ? "pytorch_model" : stem;
  return {{stem + ".safetensors", stem + ".safetensors.index.json"}, {torch_stem + ".bin", torch_stem + ".bin.index.json"}};
}

}  // namespace

Weights::Weights(std::vector<WeightFile> files) : files_(std::move(files)) {
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
  if (!files_.empty()) where_ = files_.size() == 1 ? files_[0].path() : files_[0].path().parent_path();
}

Weights::Weights(std::map<std::string, DerivedTensor> derived, fs::path where) : derived_(std::move(derived)), where_(std::move(where)) {}

std::vector<std::string> Weights::names() const {
  std::vector<std::string> names;
  for (const auto& entry : owner_) names.push_back(entry.first);
  for (const auto& entry : derived_) names.push_back(entry.first);
  return names;
}

const WeightFile* Weights::file_of(const std::string& name) const {
  const auto found = owner_.find(name);
  return found == owner_.end() ? nullptr : &files_[found->second];
}

void Weights::miss(const std::string& name) const {
  const auto known = names();
  const auto near = nearest(name, known);
  throw IoError({.who = where_.string() + (files_.size() > 1 ? " (" + std::to_string(files_.size()) + " shards)" : ""),
                 .found = "no tensor '" + name + "' among its " + std::to_string(known.size()),
                 .expected = "",
                 .remedy = near.empty() ? "" : "did you mean '" + near + "'?"});
}

const TensorInfo& Weights::info(const std::string& name) const {
  if (const auto* file = file_of(name)) return file->info(name);
  if (const auto found = derived_.find(name); found != derived_.end()) return found->second.info;
  miss(name);
}

Tensor Weights::rows(const std::string& name, std::int64_t begin, std::int64_t end) const {
  if (const auto* file = file_of(name)) return file->rows(name, begin, end);
  if (const auto found = derived_.find(name); found != derived_.end()) return found->second.rows(begin, end);
  miss(name);
}

Tensor Weights::view(const std::string& name) const {
  if (const auto* file = file_of(name)) return file->view(name);
  return rows(name, 0, rows_of(info(name)));
}

void Weights::read(const std::string& name, std::int64_t begin, const Tensor& out) const {
  if (const auto* file = file_of(name)) return file->read(name, begin, out);
  const auto& info = this->info(name);
  if (out.numel() == 0) return;
  const auto in_row = c10::multiply_integers(info.shape) / rows_of(info);
  const auto first = begin / in_row, end = (begin + out.numel() - 1) / in_row + 1;
  out.copy_(rows(name, first, end).view(-1).narrow(0, begin - first * in_row, out.numel()));
}

void Weights::read_into(const std::string& name, Tensor destination) const {
  if (const auto* file = file_of(name)) return file->read_into(name, std::move(destination));
  if (destination.sizes() != at::IntArrayRef(info(name).shape))
    throw ShapeError({.who = where_.string() + ": tensor '" + name + "'",
                      .found = "shape " + shape_text(info(name).shape),
                      .expected = shape_text(destination.sizes()),
                      .remedy = ""});
  const at::NoGradGuard no_grad;
  destination.copy_(view(name));
}

WeightFile open_weight_file(const fs::path& path) {
  if (is_torch_file(path)) return TorchFile(path);
  return SafetensorsFile(path);
}

namespace {

/// The shards that an index names, in the order of their first tensors.
std::vector<WeightFile> open_shards(const fs::path& index, const std::map<std::string, std::string>& shards) {
  std::vector<WeightFile> files;
  std::set<std::string> opened;
  for (const auto& [name, shard] : shards) {
    if (!opened.insert(shard).second) continue;
    const auto path = index.parent_path() / shard;
    if (!fs::exists(path)) {
      throw IoError({.who = path.string(),
                     .found = "no such file",
                     .expected = "the shard that " + index.filename().string() + " names for '" + name + "'",
                     .remedy = kAgain});
    }
    files.push_back(open_weight_file(path));
  }
  return files;
}

}  // namespace

bool has_weights(const fs::path& folder, const std::string& stem) {
  const auto all = layouts(stem);
  return fs::is_regular_file(folder) ||
         std::any_of(all.begin(), all.end(), [&](const Layout& l) { return fs::exists(folder / l.whole) || fs::exists(folder / l.index); });
}

std::vector<std::string> weight_files_among(const std::vector<std::string>& names, const std::string& stem) {
  const auto has = [&](const std::string& name) { return std::find(names.begin(), names.end(), name) != names.end(); };
  for (const auto& [whole, index] : layouts(stem)) {
    if (has(whole)) return {whole};
    if (!has(index)) continue;
    // Of shards only their index says the names; all writers' are `model-00001-of-00002.safetensors`.
    const auto beginning = whole.substr(0, whole.rfind('.')) + "-", ending = whole.substr(whole.rfind('.'));
    std::vector<std::string> files{index};
    for (const auto& name : names)
      if (name.starts_with(beginning) && name.ends_with(ending) && name.find('/') == std::string::npos) files.push_back(name);
    return files;
  }
  return {};
}

Weights open_weights(const fs::path& folder, const std::string& stem) {
  const auto one = [](const fs::path& path) { return Weights(std::vector{open_weight_file(path)}); };
  if (fs::is_regular_file(folder)) return one(folder);
  std::vector<std::string> names;
  for (const auto& [whole, index] : layouts(stem)) {
    if (fs::exists(folder / whole)) return one(folder / whole);
    names.insert(names.end(), {whole, index});
    if (!fs::exists(folder / index)) continue;
    const auto shards = read_index(folder / index);
    Weights weights(open_shards(folder / index, shards));
    for (const auto& [name, shard] : shards) {
      const auto* owner = weights.file_of(name);
      if (owner && owner->path().filename() == shard) continue;
      throw IoError({.who = (folder / shard).string() + ": tensor '" + name + "'",
                     .found = "it is not in this shard",
                     .expected = "as " + index + " says",
                     .remedy = kAgain});
    }
    return weights;
  }
  throw IoError({.who = folder.string(),
                 .found = fs::is_directory(folder) ? "neither " + join(names, " nor ") : "no such folder",
                 .expected = "a folder of weights",
                 .remedy = "check the path"});
}

}  // namespace herd
