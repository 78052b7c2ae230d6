// AdaLoRA's keys of adapter_config.json, as PEFT 0.18 writes them (peft/tuners/adalora/config.py there): LoRA's and its own.
#include <nlohmann/json.hpp>

#include "peft/adalora.h"
#include "peft/lora.h"
#include "peft/peft_json.h"
#include "peft/peft_options.h"

namespace herd {
namespace {

constexpr const char* kPattern = "rank_pattern";
constexpr const char* kEnd = ".lora_E";  // of the pattern's keys

void read_pattern(PeftJson& reader, PeftOptions& o) {
  std::map<std::string, std::vector<bool>> pattern;
  reader.read(kPattern, pattern);
  for (auto& [key, kept] : pattern) {
    const auto name = key.ends_with(kEnd) ? key.substr(0, key.size() - std::string_view(kEnd).size()) : "";
    if (name.empty() || static_cast<std::int64_t>(kept.size()) != o.init_r)
      reader.refuse(kPattern, "by layer, '….lora_E', whether each of init_r = " + std::to_string(o.init_r) + " ranks is kept");
    o.kept_ranks[name] = std::move(kept);
  }
}

}  // namespace

void write_adalora_config(const PeftOptions& o, nlohmann::ordered_json& json) {
  write_lora_config(o, json);
  json["r"] = PeftOptions().r;  // PEFT writes it and does not read it
  json["init_r"] = o.init_r;
  json["target_r"] = o.target_r;
  json["tinit"] = o.tinit;
  json["tfinal"] = o.tfinal;
  json["deltaT"] = o.delta_t;
  json["beta1"] = o.beta1;
  json["beta2"] = o.beta2;
  json["orth_reg_weight"] = o.orth_reg_weight;
  json["total_step"] = o.total_steps > 0 ? o.total_steps : o.tinit + o.tfinal + 1;  // PEFT loads nothing without
  json[kPattern] = nullptr;
  for (const auto& [name, kept] : o.kept_ranks) json[kPattern][name + kEnd] = kept;
}

void read_adalora_config(const nlohmann::json& json, PeftOptions& o) {
  auto of_lora = json;
  PeftJson reader(json);
  const auto read = [&](const char* key, auto& value) {
    reader.read(key, value);
    of_lora.erase(key);
  };
  read("init_r", o.init_r);
  read("target_r", o.target_r);
  read("tinit", o.tinit);
  read("tfinal", o.tfinal);
  read("deltaT", o.delta_t);
  read("beta1", o.beta1);
  read("beta2", o.beta2);
  read("orth_reg_weight", o.orth_reg_weight);
  if (o.init_r < 1) reader.refuse("init_r", "at least 1");
  read_pattern(reader, o);
  for (const auto* key : {"r", kPattern, "total_step"}) of_lora.erase(key);  // a run has its own number of steps
  read_lora_config(of_lora, o);
  o.rank_pattern = {};
  if (o.init != AdapterInit::kNoChange) reader.refuse("init_lora_weights", "a start that leaves the base weights alone");
  if (o.use_dora) reader.refuse("use_dora", "false");
  if (!o.alpha_pattern.values.empty()) reader.refuse("alpha_pattern", "one alpha for all layers");
  if (!o.layers_to_transform.empty()) reader.refuse("layers_to_transform", "null: target_modules names the layers");
  if (o.use_rslora) reader.refuse("use_rslora", "false: AdaLoRA's update is scaled by alpha / init_r");
}

}  // namespace herd
