// The keys of BOTTLENECK in adapter_config.json: those of the PEFT fork that LLaMA-Adapters and Alpaca-CoT trained with in 2023.
#include <nlohmann/json.hpp>

#include "peft/bottleneck.h"
#include "peft/peft_json.h"
#include "peft/peft_options.h"

namespace herd {
namespace {

const std::vector<std::pair<Activation, std::string>> kActivations{
    {Activation::kTanh, "tanh"}, {Activation::kRelu, "relu"}, {Activation::kGelu, "gelu"}, {Activation::kSilu, "silu"}};

}  // namespace

void write_bottleneck_config(const PeftOptions& o, nlohmann::ordered_json& json) {
  json["bottleneck_size"] = o.bottleneck_size;
  for (const auto& [value, name] : kActivations)
    if (value == o.non_linearity) json["non_linearity"] = name;
  json["adapter_dropout"] = o.dropout;
  json["use_parallel_adapter"] = o.method == "adapter_parallel";
  json["use_adapterp"] = o.method == "adapter_p";
  json["scaling"] = o.learn_scaling ? nlohmann::ordered_json("learned") : nlohmann::ordered_json(o.scaling);
  json["bias"] = "none";
  json["init_weights"] = o.init == AdapterInit::kNoChange ? "mam_adapter" : "bert";
}

void read_bottleneck_config(const nlohmann::json& json, PeftOptions& o) {
  PeftJson reader(json);
  bool parallel = false, pfeiffer = false;
  std::string activation = "tanh";
  reader.read("bottleneck_size", o.bottleneck_size);
  reader.read("non_linearity", activation);
  reader.read("adapter_dropout", o.dropout);
  reader.read("use_parallel_adapter", parallel);
  reader.read("use_adapterp", pfeiffer);
  o.learn_scaling = reader.holds_string("scaling");
  if (std::string word; o.learn_scaling) {
    reader.read("scaling", word);
    if (word != "learned") reader.refuse("scaling", "a number, or learned");
  } else {
    reader.read("scaling", o.scaling);
  }
  const auto found = std::find_if(kActivations.begin(), kActivations.end(), [&](const auto& a) { return a.second == activation; });
  if (found == kActivations.end()) reader.refuse("non_linearity", "tanh, relu, gelu or silu");
  o.non_linearity = found->first;
  o.method = parallel ? "adapter_parallel" : pfeiffer ? "adapter_p" : "adapter_h";
  reader.ignore("init_weights");
  reader.refuse_others({{"bias", "none"}});
}

}  // namespace herd
