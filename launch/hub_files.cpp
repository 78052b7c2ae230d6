#include "launch/hub_files.h"

#include <algorithm>
#include <array>

#include "data/tokenizer/tokenizer.h"
#include "models/gptq_folder.h"
#include "runtime/base/text.h"
#include "runtime/tensor/weights.h"

// What herd can read of the files that a repository holds.
namespace herd {
namespace {

using Names = std::vector<std::string>;

bool has(const Names& names, const std::string& name) { return std::find(names.begin(), names.end(), name) != names.end(); }

void add_where(Names& out, const Names& names, const auto& wanted) {
  std::copy_if(names.begin(), names.end(), std::back_inserter(out), wanted);
}

[[noreturn]] void nothing(const Names& names, const std::string& expected) {
  const Names first(names.begin(), names.begin() + static_cast<std::ptrdiff_t>(std::min<std::size_t>(names.size(), 10)));
  throw IoError({.who = "its files",
                 .found = names.empty() ? "none" : join(first) + (names.size() > first.size() ? ", …" : ""),
                 .expected = expected,
                 .remedy = "herd fetch --include takes any file, for other programs"});
}

bool is_meta_part(const std::string& name) { return name.starts_with("consolidated.") && name.ends_with(".pth"); }

Names model_files(const Names& names, bool with_weights) {
  constexpr std::array kBeside{"config.json", "generation_config.json", "herd.json", "quantize_config.json"};
  Names out;
  add_where(out, names, [&](const auto& name) { return has({kBeside.begin(), kBeside.end()}, name) || is_tokenizer_file(name); });
  if (has(names, "config.json")) {
    auto weights = weight_files_among(names);
    if (const auto quantised = gptq_file_among(names); weights.empty() && quantised) weights.push_back(*quantised);
    if (with_weights && weights.empty())
      nothing(names, "weights: model.safetensors or pytorch_model.bin, whole or in shards with their index");
    if (with_weights) out.insert(out.end(), weights.begin(), weights.end());
    return out;
  }
  if (!has(names, "params.json") || !has(names, "consolidated.00.pth"))
    nothing(names, "a model: config.json and weights, or Meta's params.json and consolidated files");
  add_where(out, names, [&](const auto& name) { return name == "params.json" || (with_weights && is_meta_part(name)); });
  return out;
}

Names tokenizer_files_among(const Names& names) {
  Names out;
  add_where(out, names, is_tokenizer_file);
  if (out.empty()) nothing(names, "a tokenizer: tokenizer.json, tokenizer.model, …");
  return out;
}

Names adapter_files(const Names& names) {
  Names out;
  add_where(out, names, [](const auto& name) { return name == "adapter_config.json" || name == "herd.json"; });
  const auto weights = weight_files_among(names, "adapter_model");
  if (!has(names, "adapter_config.json") || weights.empty())
    nothing(names, "an adapter: adapter_config.json, and adapter_model.safetensors or .bin");
  out.insert(out.end(), weights.begin(), weights.end());
  return out;
}

}  // namespace

SelectFiles files_for(HubUse use) {
  switch (use) {
    case HubUse::kModel: return [](const Names& names) { return model_files(names, true); };
    case HubUse::kConfig: return [](const Names& names) { return model_files(names, false); };
    case HubUse::kTokenizer: return tokenizer_files_among;
    case HubUse::kAdapter: return adapter_files;
  }
  return {};
}

std::vector<std::string> record_files(const std::vector<std::string>& names) {
  Names out;
  add_where(out, names, [](const auto& name) { return name.ends_with(".json") || name.ends_with(".jsonl"); });
  if (out.empty()) nothing(names, "files of records: .json or .jsonl");
  return out;
}

}  // namespace herd
