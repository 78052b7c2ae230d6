#include "peft/adapter_io.h"

#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "peft/kept_ranks.h"
#include "peft/lora_start.h"
#include "peft/peft_json.h"
#include "peft/prompt.h"
#include "peft/prompt_side.h"
#include "peft/registry.h"
#include "peft/select.h"
#include "peft/start.h"
#include "runtime/base/file.h"
#include "runtime/base/log.h"
#include "runtime/base/new_folder.h"
#include "runtime/base/text.h"
#include "runtime/tensor/dtype.h"
#include "runtime/tensor/safetensors.h"
#include "runtime/tensor/weights.h"

namespace herd {
namespace {

namespace fs = std::filesystem;

constexpr const char* kConfigFile = "adapter_config.json";
constexpr const char* kStem = "adapter_model";
constexpr const char* kPeftVersion = "0.18.1";  // whose keys are written

// Keys that say nothing about what the adapter computes.
constexpr const char* kAside[] = {"auto_mapping", "base_model_name_or_path", "inference_mode", "peft_version",
                                  "revision",     "runtime_config",          "task_type"};

nlohmann::json read_config(const fs::path& folder) {
  const auto file = folder / kConfigFile;
  if (!fs::exists(file))
    throw IoError({.who = folder.string(),
                   .found = fs::is_directory(folder) ? std::string("no ") + kConfigFile : "no such folder",
                   .expected = "a PEFT adapter's folder: adapter_config.json, adapter_model.safetensors",
                   .remedy = ""});
  auto json = nlohmann::json::parse(read_file(file), nullptr, false);
  if (!json.is_object())
    throw IoError({.who = file.string(), .found = "no JSON object", .expected = "a PEFT adapter's config", .remedy = ""});
  return json;
}

std::string text_of(const nlohmann::json& json, const char* key) {
  return json.contains(key) && json[key].is_string() ? json[key].get<std::string>() : std::string();
}

// PEFT wants to be told where an updated matrix lies transposed, as GPT-2's do.
bool updates_transposed(CausalLm& model) {
  bool any = false;
  for_each_linear(model, [&](const std::string&, Linear& linear) { any |= linear.slot() && linear.layout() == WeightLayout::kInOut; });
  return any;
}

nlohmann::json one_or_list(const OneOrMany& value) {
  return value.single ? nlohmann::json(value.values.front()) : nlohmann::json(value.values);
}

// PEFT sorts its keys.
std::string config_text(CausalLm& model, const PeftOptions& options, const PeftMethod& method, const std::string& base_path) {
  nlohmann::ordered_json own;
  method.write_config(options, own);
  if (method.write_shape) method.write_shape(model, base_path, own);
  nlohmann::json json = own;
  if (json.contains("fan_in_fan_out")) json["fan_in_fan_out"] = updates_transposed(model);
  json["peft_type"] = method.peft_type;
  json["task_type"] = "CAUSAL_LM";
  json["base_model_name_or_path"] = base_path;
  json["auto_mapping"] = nullptr;
  json["revision"] = nullptr;
  json["inference_mode"] = true;
  json["peft_version"] = kPeftVersion;
  if (method.reads("target_modules")) json["target_modules"] = one_or_list(options.target_modules);
  if (method.reads("modules_to_save"))
    json["modules_to_save"] = options.modules_to_save.empty() ? nlohmann::json() : nlohmann::json(options.modules_to_save);
  return json.dump(2) + "\n";
}

// The stored name of each tensor by the one that PEFT gives it today: early files keep the adapter's own name inside, or leave the prefix out.
std::map<std::string, std::string> places(const Weights& weights) {
  std::map<std::string, std::string> stored;
  for (const auto& name : weights.names()) {
    // A name without a dot is no layer's: a prompt's.
    auto today = name.starts_with("base_model.") || name.find('.') == std::string::npos ? name : kPeftPrefix + name;
    for (const auto* part : {".modules_to_save", ".default"})
      if (const auto at = today.find(std::string(part) + "."); at != std::string::npos) today.erase(at, std::string_view(part).size());
    if (today.ends_with(".lora_magnitude_vector.weight")) today.erase(today.size() - std::string_view(".weight").size());
    if (!stored.try_emplace(today, name).second) stored.emplace(name, name);
  }
  return stored;
}

struct Mismatch {
  std::vector<std::string> missing, unexpected, misshapen, biases_left_out;

  bool empty() const { return missing.empty() && unexpected.empty() && misshapen.empty(); }
  std::string text() const {
    std::vector<std::string> parts;
    const auto list = [&](const char* title, const std::vector<std::string>& names) {
      constexpr std::size_t kListed = 20;
      if (names.empty()) return;
      auto part = std::to_string(names.size()) + " " + title + ": " + join(std::span(names).first(std::min(names.size(), kListed)));
      if (names.size() > kListed) part += ", … (" + std::to_string(names.size() - kListed) + " more)";
      parts.push_back(part);
    };
    list("missing", missing);
    list("unexpected", unexpected);
    list("misshapen", misshapen);
    return join(parts, "\n  ");
  }
};

// PEFT adds a copy of an embedding's or head's base weight where the head is a target. One that differs from the base is a part of the
// adapter that herd would lose.
bool is_copy_of_base(CausalLm& model, const std::string& today, const std::string& stored, const Weights& weights, const ReadParameter& read) {
  auto name = today.starts_with(kPeftPrefix) ? today.substr(std::string_view(kPeftPrefix).size()) : today;
  if (const auto at = name.rfind(".base_layer."); at != std::string::npos) name.erase(at, std::string_view(".base_layer").size());
  bool same = false;
  for_each_parameter(model, [&](const std::string& found, Parameter& p) {
    if (found != name || p.trainable) return;
    const auto copy = weights.view(stored);
    if (copy.sizes() != p.value.sizes()) return;
    const auto meta = p.value;
    if (meta.is_meta()) fill(p, read);
    same = at::equal(copy.to(p.value.scalar_type()), p.value.detach());
    p.value = meta;
  });
  return same;
}

Mismatch compare(CausalLm& model, const std::vector<Parameter*>& trained, const Weights& weights,
                 const std::map<std::string, std::string>& stored, const ReadParameter& read) {
  Mismatch out;
  std::set<std::string> known;
  for (const auto* p : trained) {
    known.insert(p->name);
    const auto place = stored.find(p->name);
    if (place == stored.end()) {
      (p->name.ends_with(".base_layer.bias") ? out.biases_left_out : out.missing).push_back(p->name);
      continue;
    }
    const auto& shape = weights.info(place->second).shape;
    if (p->value.sizes() != at::IntArrayRef(shape))
      out.misshapen.push_back(p->name + " " + shape_text(shape) + ", not " + shape_text(p->value.sizes()));
  }
  for (const auto& [today, name] : stored)
    if (!known.contains(today) && !is_copy_of_base(model, today, name, weights, read)) out.unexpected.push_back(name);
  // PEFT leaves all of them out or none.
  std::size_t biases = 0;
  for (const auto& name : known) biases += name.ends_with(".base_layer.bias");
  if (out.biases_left_out.size() != biases) {
    out.missing.insert(out.missing.end(), out.biases_left_out.begin(), out.biases_left_out.end());
    out.biases_left_out.clear();
  }
  return out;
}

// Safetensors came to PEFT in December 2023, today's order of BLOOM's prefixes to transformers in July 2024.
void follow_order_of_bloom(CausalLm& model, const fs::path& folder) {
  if (!fs::exists(folder / (std::string(kStem) + ".safetensors"))) {
    log_info("{}: a prefix for BLOOM of 2023, the keys of all layers before the values of all", folder.string());
    reorder_old_bloom_prefix(model);
  } else if (!read_config(folder).contains("peft_version")) {
    log_warning("{}: taken as a prefix that was trained with transformers 4.43 or newer; older ones had another order for BLOOM and would be read "
                "as such from adapter_model.bin", folder.string());
  }
}

}  // namespace

void save_adapter(CausalLm& model, const PeftOptions& attached, const std::string& base_path, const Provenance& provenance,
                  const fs::path& folder, const ParameterValues& values) {
  auto options = attached;
  const auto& method = peft_methods().at(options.method);
  if (method.peft_type.empty())
    throw ConfigError({.who = "peft.method",
                       .found = "'" + options.method + "'",
                       .expected = "a method that leaves an adapter",
                       .remedy = "it trains the model itself: save that"});
  const NewFolder ready(folder, NewFolder::Place::kAnything);
  complete(options, model.facts.family);
  std::vector<TensorToWrite> tensors;
  if (model.side) tensors.push_back(stored_prompt(model, values));
  else if (begins_from_base(options)) tensors = as_plain_lora(model, options, values);
  else for (const auto* p : trained_parameters(model)) tensors.push_back(without_ranks_given_up(*p, options, values));
  stream_safetensors(ready.path() / (std::string(kStem) + ".safetensors"), tensors);
  write_file_atomically(ready.path() / kConfigFile, config_text(model, options, method, base_path));
  write_provenance(ready.path(), provenance);
  ready.commit();
}

PeftOptions read_adapter_options(const fs::path& folder) {
  auto json = read_config(folder);
  const auto refuse = [&](const char* key, const std::string& expected) {
    throw ConfigError({.who = (folder / kConfigFile).string() + ": '" + key + "'",
                       .found = json.contains(key) ? json[key].dump() : "nothing",
                       .expected = expected,
                       .remedy = ""});
  };
  PeftOptions options;
  const auto type = text_of(json, "peft_type");
  std::vector<std::string> types;
  const PeftMethod* method = nullptr;
  for (const auto& [name, entry] : peft_methods()) {
    if (entry.peft_type.empty()) continue;
    if (std::find(types.begin(), types.end(), entry.peft_type) == types.end()) types.push_back(entry.peft_type);
    // The first files said no type: then the keys tell, of two methods that share one the later line.
    if (json.contains("peft_type") ? entry.peft_type != type : !json.contains(entry.marked_by)) continue;
    if (method && json.contains("peft_type")) continue;
    options.method = name;
    method = &entry;
  }
  if (!method) refuse("peft_type", "one of " + join(types));
  if (const auto task = text_of(json, "task_type"); !task.empty() && task != "CAUSAL_LM") refuse("task_type", "CAUSAL_LM");
  PeftJson shared(json);
  if (method->reads("target_modules")) {
    shared.read("target_modules", options.target_modules);
    json.erase("target_modules");
  }
  if (method->reads("modules_to_save")) {
    shared.read("modules_to_save", options.modules_to_save);
    json.erase("modules_to_save");
  }
  for (const auto* key : kAside) json.erase(key);
  json.erase("peft_type");
  method->read_config(json, options);
  return options;
}

void load_adapter_weights(CausalLm& model, const fs::path& folder, const ReadParameter& read) {
  const auto weights = open_weights(folder, kStem);
  const auto trained = trained_parameters(model);
  const auto stored = places(weights);
  const auto mismatch = compare(model, trained, weights, stored, read);
  if (!mismatch.empty()) {
    const Complaint complaint{.who = folder.string(),
                              .found = mismatch.text(),
                              .expected = "the tensors that adapter_config.json describes on this " + model.facts.family,
                              .remedy = mismatch.misshapen.empty() ? "" : "is this the base model that it was trained on?"};
    if (mismatch.missing.empty() && mismatch.unexpected.empty()) throw ShapeError(complaint);
    throw IoError(complaint);
  }
  if (!mismatch.biases_left_out.empty())
    log_warning("{}: holds none of the {} trained biases (PEFT does not write them for 'lora_only'): the base's are taken", folder.string(),
                mismatch.biases_left_out.size());
  for (auto* p : trained) {
    const auto place = stored.find(p->name);
    const bool is_there = place != stored.end();
    if (p->value.is_meta()) {
      if (is_there) materialise(*p, p->value.scalar_type());
      else fill(*p, read);  // a part of the base that the adapter's own would take the place of
    }
    if (is_there) weights.read_into(place->second, p->value);
  }
}

void check_adapter_base(const fs::path& folder, const AdapterBase& base) {
  const auto provenance = read_provenance(folder);
  const auto trained_on = text_of(read_config(folder), "base_model_name_or_path");
  if (provenance && !provenance->base_fingerprint.empty() && !base.fingerprint.empty()) {
    if (provenance->base_fingerprint == base.fingerprint) return;
    throw ConfigError({.who = "adapter '" + folder.string() + "'",
                       .found = "a base model other than " + base.path + " (" + base.fingerprint.substr(0, 12) + "…)",
                       .expected = "the one it was trained on: " + trained_on + " (" + provenance->base_fingerprint.substr(0, 12) + "…)",
                       .remedy = "give that folder as the model (herd generate and herd merge: or --force-base to go on)"});
  }
  if (!trained_on.empty() && !base.path.empty() && fs::path(trained_on).lexically_normal() != fs::path(base.path).lexically_normal())
    log_warning("adapter {} names the base model '{}', not '{}'; only shapes can be compared", folder.string(), trained_on, base.path);
}

PeftOptions attach_adapter(CausalLm& model, const fs::path& folder, const AdapterBase& base, std::optional<double> dropout) {
  auto options = read_adapter_options(folder);
  check_adapter_base(folder, base);
  if (dropout) options.dropout = *dropout;
  PeftStart start{.read = base.read};
  if (begins_from_base(options)) start.seed = 0;
  auto stored = options;
  stored.adapter = folder.string();  // whose parts are those that a folder keeps
  options = attach(model, stored, start);
  options.adapter.clear();
  // What it trained of the base itself gets memory of its own: the base's stays as it is.
  for (auto* p : trained_parameters(model)) {
    if (p->value.is_meta()) continue;
    p->value = p->value.detach().clone();
    p->value.set_requires_grad(true);
  }
  load_adapter_weights(model, folder, base.read);
  if (model.has_prefix() && model.facts.family == "bloom") follow_order_of_bloom(model, folder);
  return options;
}

}  // namespace herd
