#include "launch/generate_options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <filesystem>
#include <map>

#include "runtime/base/error.h"
#include "runtime/base/text.h"
#include "runtime/nn/quantise.h"

namespace herd {
namespace {

namespace fs = std::filesystem;

// NAME=DIR, where the name has no slash and nothing is called as the whole is.
NamedAdapter named_adapter(const std::string& argument) {
  const auto cut = argument.find('=');
  if (cut == std::string::npos || argument.find('/') < cut || fs::exists(argument)) return {.name = "", .folder = argument};
  return {.name = argument.substr(0, cut), .folder = argument.substr(cut + 1)};
}

template <class N>
bool read_whole(std::string_view text, N& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size();
}

SequenceBias logit_bias(const std::string& argument) {
  const std::string_view text = argument;
  const auto cut = std::min(text.find('='), text.size() - 1);
  SequenceBias bias{.ids = {0}};
  if (text.empty() || !read_whole(text.substr(0, cut), bias.ids[0]) || !read_whole(text.substr(cut + 1), bias.bias))
    throw ConfigError({.who = "--logit-bias", .found = "'" + argument + "'", .expected = "ID=VALUE, such as 29871=-2.5", .remedy = ""});
  return bias;
}

std::vector<std::string> names_of(const std::vector<NamedAdapter>& adapters) {
  std::vector<std::string> names;
  for (const auto& adapter : adapters)
    if (!adapter.name.empty()) names.push_back(adapter.name);
  return names;
}

Complaint unknown_adapter(const std::string& who, const std::string& name, const std::vector<std::string>& names) {
  const auto close = nearest(name, names);
  return {.who = who,
          .found = "adapter '" + name + "'",
          .expected = names.empty() ? "none: no --adapter has a name" : "one of " + join(names),
          .remedy = close.empty() ? "give it: --adapter " + name + "=DIR" : "did you mean '" + close + "'?"};
}

}  // namespace

void GenerateOptions::validate() {
  const auto refuse = [](const std::string& found, const std::string& expected) {
    throw ConfigError({.who = "command line", .found = found, .expected = expected, .remedy = "(herd generate --help)"});
  };
  const int ways = (prompt ? 1 : 0) + (instruction ? 1 : 0) + (file.empty() ? 0 : 1);
  if (ways != 1)
    refuse(ways ? "more than one of --prompt, --instruction and --file" : "nothing to answer", "one of --prompt, --instruction and --file");
  if (!input.empty() && !instruction) refuse("--input without --instruction", "both");
  if (!output.empty() && file.empty()) refuse("--output without --file", "both");
  std::error_code neither_there;
  if (!output.empty() && fs::equivalent(output, file, neither_there)) refuse("--output and --file that are one file", "two");
  if (prompt && !template_name.empty()) refuse("--template with --prompt, whose text goes to the model as it is", "--instruction");
  if (force_base && adapter_arguments.empty()) refuse("--force-base without --adapter", "both");
  if (threads < 0) refuse("--threads below 0", "a number of threads, or 0 for the machine's cores");
  for (const auto& argument : adapter_arguments) {
    const auto adapter = named_adapter(argument);
    if (adapter.name.empty() && adapter_arguments.size() > 1) refuse("--adapter " + argument + " beside others", "NAME=DIR, to choose between them by");
    if (adapter.folder.empty()) refuse("--adapter " + argument, "NAME=DIR");
    for (const auto& other : adapters)
      if (other.name == adapter.name) refuse("two adapters named '" + adapter.name + "'", "a name for each");
    adapters.push_back(adapter);
  }
  for (const auto& argument : logit_biases) generation.sampling.logit_bias.push_back(logit_bias(argument));
  generation.validate();
  engine.validate();
}

std::vector<std::optional<std::size_t>> chosen_adapters(const std::vector<Question>& questions, const GenerateOptions& options) {
  const auto names = names_of(options.adapters);
  const auto number_of = [&](const std::string& name) -> std::optional<std::size_t> {
    const auto found = std::find(names.begin(), names.end(), name);
    return found == names.end() ? std::nullopt : std::optional(static_cast<std::size_t>(found - names.begin()));
  };
  if (!options.use.empty() && !number_of(options.use)) throw ConfigError(unknown_adapter("--use", options.use, names));
  const bool unnamed = names.empty() && !options.adapters.empty();
  std::vector<std::optional<std::size_t>> chosen;
  for (const auto& question : questions) {
    const auto name = question.adapter.value_or(options.use);
    if (name.empty()) {
      chosen.push_back(unnamed && !question.adapter ? std::optional<std::size_t>(0) : std::nullopt);
    } else {
      chosen.push_back(number_of(name));
      if (!chosen.back()) throw DataError(unknown_adapter(question.name, name, names));
    }
  }
  return chosen;
}

namespace {

// A list, one item each time that the option is given: whatever stands in it, a comma too.
void declare_list(CLI::App& app, const std::string& name, std::vector<std::string>& list, const std::string& what) {
  app.add_option(name, list, what)->expected(1)->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

// In the order in which they act.
void declare_sampling(CLI::App& app, GenerateOptions& o) {
  auto& s = o.generation.sampling;
  declare_list(app, "--logit-bias", o.logit_biases, "ID=VALUE, added to a token's logit, -inf bans it; may be given several times");
  app.add_option("--repetition-penalty", s.repetition_penalty, "above 1: tokens of prompt and answer become less probable")->capture_default_str();
  app.add_option("--frequency-penalty", s.frequency_penalty, "taken from a token's logit for each time that the answer has it")->capture_default_str();
  app.add_option("--presence-penalty", s.presence_penalty, "likewise, once")->capture_default_str();
  app.add_option("--no-repeat-ngram", s.no_repeat_ngram, "no run of this many tokens comes twice; 0: any may")->capture_default_str();
  declare_list(app, "--bad-word", o.bad_words, "text that the answer may not have; may be given several times");
  app.add_option("--min-new-tokens", s.min_new_tokens, "the model cannot end an answer before it has as many")->capture_default_str();
  app.add_option("--temperature", s.temperature, "0: greedy, the most probable token")->capture_default_str();
  app.add_option("--top-k", s.top_k, "draw from the k most probable tokens; 0: from all")->capture_default_str();
  app.add_option("--top-p", s.top_p, "draw from the fewest tokens that hold this much probability")->capture_default_str();
  app.add_option("--min-p", s.min_p, "draw from tokens at least this times as probable as the most probable one")->capture_default_str();
  app.add_option("--typical-p", s.typical_p, "draw from the fewest that hold this much, those of the most usual information first")->capture_default_str();
  app.add_option("--seed", s.seed, "the same seed, the same text")->capture_default_str();
}

}  // namespace

void declare(CLI::App& app, GenerateOptions& o) {
  static const std::map<std::string, Precision> dtypes{{"fp32", Precision::kFp32}, {"bf16", Precision::kBf16}, {"fp16", Precision::kFp16}};
  app.add_option("--model", o.model, "a Hugging Face folder (config.json, safetensors, tokenizer), or its hub id, org/name")->required();
  declare_list(app, "--adapter", o.adapter_arguments,
               "a PEFT folder that was trained on the model, or its hub id; several times as NAME=DIR, to choose from (--use, or `adapter` in a record)");
  app.add_option("--use", o.use, "the adapter of prompts that name none; default: the base alone, or the one adapter without a name");
  app.add_flag("--force-base", o.force_base, "put adapters onto another model than they were trained on");
  app.add_option("--tokenizer", o.tokenizer, "a folder or hub id; default: the model's");
  app.add_option("--prompt", o.prompt, "text to go on from, as it is");
  app.add_option("--instruction", o.instruction, "an instruction, put through the template");
  app.add_option("--input", o.input, "what the instruction works on");
  app.add_option("--file", o.file, "JSON lines, or a JSON array, of {prompt} or {instruction, input} records");
  app.add_option("--output", o.output, "with --file: where the answers go, one JSON line a record; default: the terminal");
  app.add_option("--template", o.template_name, "how instructions read; default: the one stored beside the weights by training");
  app.add_flag("--raw", o.raw, "leave what the template puts around an answer");
  declare_sampling(app, o);
  app.add_option("--max-new-tokens", o.generation.max_new_tokens, "longest answer")->capture_default_str();
  declare_list(app, "--stop", o.generation.stop, "text that ends an answer; may be given several times");
  app.add_option("--batch-size", o.engine.batch_size, "with --file: prompts answered side by side")->capture_default_str();
  app.add_option("--dtype", o.dtype, "number format of weights and arithmetic")
      ->option_text("fp32|bf16|fp16 [fp32]")
      ->transform(CLI::CheckedTransformer(dtypes));
  app.add_option("--quantization", o.quantization, "how the linear layers are kept, as model.quantization of training does by default")
      ->option_text("int8|nf4|fp4|gptq [as the folder is]")
      ->check(CLI::IsMember(weight_storages().names()));
  app.add_option("--threads", o.threads, "0: the machine's cores")->capture_default_str();
}

}  // namespace herd
