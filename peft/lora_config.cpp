// LoRA's keys of adapter_config.json, as PEFT 0.18 writes them (peft/tuners/lora/config.py there).
#include <nlohmann/json.hpp>

#include "peft/lora.h"
#include "peft/peft_json.h"
#include "peft/peft_options.h"

namespace herd {
namespace {

const std::vector<std::pair<TrainedBiases, std::string>> kBiases{
    {TrainedBiases::kNone, "none"}, {TrainedBiases::kAll, "all"}, {TrainedBiases::kLoraOnly, "lora_only"}};

// What PEFT can do beyond this method. Each key's value that asks for nothing; another one changes what the adapter computes.
const nlohmann::ordered_json& unused_keys() {
  static const auto keys = nlohmann::ordered_json::parse(R"({
    "alora_invocation_tokens": null, "arrow_config": null, "ensure_weight_tying": false, "exclude_modules": null,
    "layer_replication": null, "lora_bias": false, "target_parameters": null, "trainable_token_indices": null, "use_qalora": false})");
  return keys;
}

// How PEFT would start or place a new adapter, and which way its base's matrices lie: nothing that the tensors do not already say.
const nlohmann::ordered_json& start_keys() {
  static const auto keys = nlohmann::ordered_json::parse(R"({
    "corda_config": null, "eva_config": null, "fan_in_fan_out": false, "loftq_config": {}, "megatron_config": null, "megatron_core": "megatron.core",
    "qalora_group_size": 16})");
  return keys;
}

// Some ways to start a new adapter take a part out of the base weights, which PEFT does again at each loading: the adapter counts from there.
AdapterInit read_start(PeftJson& reader) {
  std::string start = "true";
  if (reader.holds_string("init_lora_weights")) reader.read("init_lora_weights", start);
  else reader.ignore("init_lora_weights");
  if (start == "pissa") return AdapterInit::kPissa;
  if (start == "olora") return AdapterInit::kOlora;
  if (start != "true" && start != "gaussian" && start != "orthogonal" && start != "eva")
    reader.refuse("init_lora_weights", "true, false, gaussian, orthogonal, eva, pissa or olora: a start that can be found again from the base");
  return AdapterInit::kNoChange;
}

nlohmann::ordered_json whole_if_whole(double number) {
  const auto whole = static_cast<std::int64_t>(number);
  return static_cast<double>(whole) == number ? nlohmann::ordered_json(whole) : nlohmann::ordered_json(number);
}

nlohmann::ordered_json pattern_json(const NumbersByName& patterns) {
  auto json = nlohmann::ordered_json::object();
  for (const auto& [name, number] : patterns.values) json[name] = whole_if_whole(number);
  return json;
}

template <class T>
nlohmann::ordered_json or_null(const std::vector<T>& values) {
  return values.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(values);
}

}  // namespace

void write_lora_config(const PeftOptions& o, nlohmann::ordered_json& json) {
  for (const auto* keys : {&unused_keys(), &start_keys()}) json.update(*keys);
  json["r"] = o.r;
  json["lora_alpha"] = whole_if_whole(o.alpha);
  json["lora_dropout"] = o.dropout;
  json["use_rslora"] = o.use_rslora;
  json["use_dora"] = o.use_dora;
  json["rank_pattern"] = pattern_json(o.rank_pattern);
  json["alpha_pattern"] = pattern_json(o.alpha_pattern);
  json["layers_to_transform"] = or_null(o.layers_to_transform);
  json["layers_pattern"] = or_null(o.layers_pattern);
  json["init_lora_weights"] = o.init == AdapterInit::kNoChange;
  for (const auto& [value, name] : kBiases)
    if (value == o.bias) json["bias"] = name;
}

void read_lora_config(const nlohmann::json& json, PeftOptions& o) {
  PeftJson reader(json);
  reader.read("r", o.r);
  reader.read("lora_alpha", o.alpha);
  reader.read("lora_dropout", o.dropout);
  reader.read("use_rslora", o.use_rslora);
  std::string bias = "none";
  reader.read("bias", bias);
  const auto found = std::find_if(kBiases.begin(), kBiases.end(), [&](const auto& b) { return b.second == bias; });
  if (found == kBiases.end()) reader.refuse("bias", "none, all or lora_only");
  o.bias = found->first;
  if (o.r < 1) reader.refuse("r", "at least 1");
  reader.read("use_dora", o.use_dora);
  reader.read("rank_pattern", o.rank_pattern);
  reader.read("alpha_pattern", o.alpha_pattern);
  reader.read_one_or_many("layers_to_transform", o.layers_to_transform);
  reader.read_one_or_many("layers_pattern", o.layers_pattern);
  o.init = read_start(reader);
  for (const auto& [key, value] : start_keys().items()) reader.ignore(key);
  reader.ignore("merge_weights");  // of 2023: whether PEFT folded the update in for evaluation
  reader.refuse_others(unused_keys());
}

}  // namespace herd
