#include <nlohmann/json.hpp>

#include "models/hub.h"
#include "models/hub_code.h"
#include "models/registry.h"
#include "runtime/base/file.h"
#include "runtime/base/new_folder.h"

namespace herd {
namespace {

namespace fs = std::filesystem;

const char* torch_name(at::ScalarType dtype) {
  switch (dtype) {
    case at::kBFloat16: return "bfloat16";
    case at::kHalf: return "float16";
    default: return "float32";
  }
}

// The config that the model was made from, with what transformers asks for beyond it.
std::string config_to_write(const std::string& config, const CausalLm& model, at::ScalarType dtype, const HubSave& save) {
  auto json = nlohmann::ordered_json::parse(config);
  const auto& family = families().at(model.facts.family);
  json["architectures"] = {architecture_of(nlohmann::json::parse(config))};
  drop_code_not_among(save.copies, json);
  if (save.instead.empty()) json.erase("quantization_config");  // every layer is dense now
  json[family.words.at("vocab_size")] = model.facts.vocab_size;
  json["tie_word_embeddings"] = model.facts.tied;
  json["torch_dtype"] = torch_name(dtype);
  json.erase("dtype");  // transformers' newer word for it
  const auto put = [&](const char* key, const std::optional<std::int64_t>& id) {
    if (id && (!json.contains(key) || json[key].is_null())) json[key] = *id;
  };
  put("bos_token_id", save.bos);
  put("eos_token_id", save.eos);
  put("pad_token_id", save.pad);
  return json.dump(2) + "\n";
}

void check_dense(const std::string& name, const Parameter& p, const fs::path& folder) {
  if (p.value.scalar_type() != at::kByte) return;
  throw ConfigError({.who = folder.string(),
                     .found = "layers in few bits, like " + name,
                     .expected = "a model whose layers are dense",
                     .remedy = "take the unquantised folder; herd quantize writes quantised ones"});
}

}  // namespace

void save_hub_folder(CausalLm& model, const std::string& config, const fs::path& folder, const HubSave& save) {
  const NewFolder ready(folder, save.replace ? NewFolder::Place::kAnything : NewFolder::Place::kFree);
  std::vector<TensorToWrite> tensors;
  for_each_parameter(model, [&](const std::string& name, Parameter& p) {
    if (const auto found = save.instead.find(name); found != save.instead.end()) {
      const auto these = to_write(found->second);
      tensors.insert(tensors.end(), these.begin(), these.end());
    } else {
      check_dense(name, p, folder);
      tensors.push_back(to_write(name, p, save.values));
    }
  });
  stream_sharded_safetensors(ready.path(), tensors, save.max_shard_bytes);
  write_file_atomically(ready.path() / "config.json", config_to_write(config, model, tensors.front().dtype, save));
  for (const auto& file : save.copies) write_file_atomically(ready.path() / file.filename(), read_file(file));
  if (save.beside) save.beside(ready.path());
  if (save.provenance) write_provenance(ready.path(), *save.provenance);
  ready.commit();
}

}  // namespace herd
