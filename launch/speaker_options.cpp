#include "launch/speaker_options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <map>

#include "launch/command_line.h"
#include "runtime/base/text.h"
#include "runtime/nn/quantise.h"

namespace herd {
namespace {

// NAME=DIR, where the name has no slash and nothing is called as the whole is.
NamedAdapter named_adapter(const std::string& argument) {
  const auto cut = argument.find('=');
  if (cut == std::string::npos || argument.find('/') < cut || std::filesystem::exists(argument)) return {.name = "", .folder = argument};
  return {.name = argument.substr(0, cut), .folder = argument.substr(cut + 1)};
}

}  // namespace

std::vector<std::string> SpeakerOptions::adapter_names() const {
  std::vector<std::string> names;
  for (const auto& adapter : adapters) names.push_back(adapter.name.empty() ? called(adapter.folder) : adapter.name);
  return names;
}

std::optional<std::size_t> SpeakerOptions::unnamed_adapter() const {
  return adapters.size() == 1 && adapters.front().name.empty() ? std::optional<std::size_t>(0) : std::nullopt;
}

std::optional<std::size_t> SpeakerOptions::find_adapter(const std::string& name) const {
  if (name.empty()) return std::nullopt;
  const auto names = adapter_names();
  for (std::size_t i = 0; i < adapters.size(); ++i)
    if (names[i] == name || (adapters[i].name.empty() && adapters[i].folder == name)) return i;
  return std::nullopt;
}

std::optional<std::size_t> SpeakerOptions::used_adapter(const std::string& use) const {
  if (use.empty()) return unnamed_adapter();
  const auto found = find_adapter(use);
  if (!found) throw ConfigError(no_adapter("--use", use));
  return found;
}

Complaint SpeakerOptions::no_adapter(const std::string& who, const std::string& name) const {
  const auto names = adapter_names();
  const auto close = nearest(name, names);
  return {.who = who,
          .found = "adapter '" + name + "'",
          .expected = names.empty() ? "none: there is no --adapter" : "one of " + join(names),
          .remedy = close.empty() ? "give it: --adapter " + name + "=DIR" : "did you mean '" + close + "'?"};
}

void SpeakerOptions::validate() {
  if (force_base && adapter_arguments.empty()) refuse_arguments("--force-base without --adapter", "both");
  if (threads < 0) refuse_arguments("--threads below 0", "a number of threads, or 0 for the machine's cores");
  for (const auto& argument : adapter_arguments) {
    const auto adapter = named_adapter(argument);
    if (adapter.name.empty() && adapter_arguments.size() > 1) refuse_arguments("--adapter " + argument + " beside others", "NAME=DIR, to choose between them by");
    if (adapter.folder.empty()) refuse_arguments("--adapter " + argument, "NAME=DIR");
    for (const auto& other : adapters)
      if (other.name == adapter.name) refuse_arguments("two adapters named '" + adapter.name + "'", "a name for each");
    adapters.push_back(adapter);
  }
}

std::string called(const std::string& folder_or_id) {
  if (!std::filesystem::exists(folder_or_id)) return folder_or_id;
  const auto path = std::filesystem::path(folder_or_id).lexically_normal();
  return path.has_filename() ? path.filename().string() : path.parent_path().filename().string();
}

void declare(CLI::App& app, SpeakerOptions& o) {
  static const std::map<std::string, Precision> dtypes{{"fp32", Precision::kFp32}, {"bf16", Precision::kBf16}, {"fp16", Precision::kFp16}};
  app.add_option("--model", o.model, "a Hugging Face folder (config.json, safetensors, tokenizer), or its hub id, org/name")->required();
  declare_list(app, "--adapter", o.adapter_arguments, "a PEFT folder that was trained on the model, or its hub id; several times as NAME=DIR, to choose from");
  app.add_flag("--force-base", o.force_base, "put adapters onto another model than they were trained on");
  app.add_option("--tokenizer", o.tokenizer, "a folder or hub id; default: the model's");
  app.add_option("--template", o.template_name, "how instructions read; default: the one stored beside the weights by training");
  app.add_option("--dtype", o.dtype, "number format of weights and arithmetic")
      ->option_text("fp32|bf16|fp16 [fp32]")
      ->transform(CLI::CheckedTransformer(dtypes));
  app.add_option("--device", o.device, "where the model is, as model.device of training; cuda: a GPU a rank")->option_text("cpu|cuda [cpu]")->check(CLI::IsMember({"cpu", "cuda"}));
  app.add_option("--quantization", o.quantization, "how the linear layers are kept, as model.quantization of training does by default")
      ->option_text("int8|nf4|fp4|gptq [as the folder is]")
      ->check(CLI::IsMember(weight_storages().names()));
  app.add_option("--kv-cache", o.kv_cache, "how keys and values of the tokens so far are kept; int8 takes half of bf16's memory and rounds")
      ->option_text("dtype|int8 [dtype]")
      ->check(CLI::IsMember({"dtype", "int8"}));
  app.add_option("--threads", o.threads, "0: the machine's cores")->capture_default_str();
}

}  // namespace herd
