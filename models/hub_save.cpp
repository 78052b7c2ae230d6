#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "models/hub.h"
#include "models/registry.h"
#include "runtime/base/file.h"

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
  json["architectures"] = {families().at(model.facts.family).architecture};
  json["vocab_size"] = model.facts.vocab_size;
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

void refuse_to_replace(const fs::path& folder) {
  std::error_code ignored;
  if (!fs::exists(folder) || (fs::is_directory(folder) && fs::is_empty(folder, ignored))) return;
  throw IoError({.who = folder.string(),
                 .found = "something there already",
                 .expected = "a new or empty folder",
                 .remedy = "choose another folder, or remove this one"});
}

// In one step where the file system can exchange two names, else in two with the old one aside.
void take_place(const fs::path& ready, const fs::path& folder) {
  if (renameat2(AT_FDCWD, ready.c_str(), AT_FDCWD, folder.c_str(), RENAME_EXCHANGE) == 0) {
    fs::remove_all(ready);
    return;
  }
  if (errno == ENOENT) {
    if (std::rename(ready.c_str(), folder.c_str()) != 0) throw io_error(folder, "cannot make this folder", errno);
    return;
  }
  auto aside = ready;
  aside += "-old";
  if (std::rename(folder.c_str(), aside.c_str()) != 0 || std::rename(ready.c_str(), folder.c_str()) != 0)
    throw io_error(folder, "cannot be replaced by its new version", errno);
  fs::remove_all(aside);
}

}  // namespace

void save_hub_folder(CausalLm& model, const std::string& config, const fs::path& folder_given, const HubSave& save) {
  const auto folder = (folder_given.has_filename() ? folder_given : folder_given.parent_path()).lexically_normal();
  if (!save.replace) refuse_to_replace(folder);
  const auto parent = folder.has_parent_path() ? folder.parent_path() : fs::path(".");
  const auto ready = parent / ("." + folder.filename().string() + ".tmp-" + std::to_string(getpid()));
  make_folder(parent);
  fs::remove_all(ready);
  try {
    make_folder(ready);
    NamedTensors tensors;
    for_each_parameter(model, [&](const std::string& name, Parameter& p) { tensors.emplace_back(name, p.value.detach()); });
    write_sharded_safetensors(ready, tensors, save.max_shard_bytes);
    write_file_atomically(ready / "config.json", config_to_write(config, model, tensors.front().second.scalar_type(), save));
    for (const auto& file : save.copies) write_file_atomically(ready / file.filename(), read_file(file));
    if (save.provenance) write_provenance(ready, *save.provenance);
    sync_folder(ready);
    take_place(ready, folder);
    sync_folder(parent);
  } catch (...) {
    std::error_code ignored;
    fs::remove_all(ready, ignored);
    throw;
  }
}

}  // namespace herd
