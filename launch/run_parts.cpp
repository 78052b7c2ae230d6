#include "launch/run_parts.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "launch/run_model.h"
#include "models/hub_code.h"
#include "parallel/comm/agree.h"
#include "parallel/strategy.h"
#include "peft/adapter_io.h"
#include "peft/lora_start.h"
#include "peft/prompt_side.h"
#include "peft/registry.h"
#include "peft/start.h"
#include "runtime/base/text.h"
#include "runtime/net/hub_cache.h"
#include "runtime/nn/quantise.h"

namespace herd {
namespace {

// What decides a run's numbers, by name, in words that ranks compare.
std::vector<std::pair<std::string, std::string>> identities(const RunParts& parts) {
  double sum = 0;
  for_each_parameter(parts.model(), [&](const std::string&, Parameter& p) {
    if (p.trainable && !p.value.is_meta()) sum += p.value.detach().sum(at::kDouble).item<double>();
  });
  return {{"model", parts.base.fingerprint},
          {"data", parts.dataset.fingerprint},
          {"initial weights", fmt::format("{:a}", sum)}};
}

}  // namespace

SamplerOptions sample_order(const RunConfig& config) {
  return {.global_batch_size = config.train.global_batch_size,
          .max_tokens = config.data.max_tokens,
          .packing = config.data.packing,
          .group_by_length = config.data.group_by_length,
          .seed = config.data.seed};
}

void check_context(const RunConfig& config, const CausalLm& model) {
  const auto context = model.facts.max_positions;
  if (config.data.max_tokens <= context) return;
  throw ConfigError({.who = "data.max_tokens",
                     .found = std::to_string(config.data.max_tokens),
                     .expected = "at most " + std::to_string(context) + ", the model's max_position_embeddings" +
                                 (model.side ? " without what peft.num_virtual_tokens takes of them" : ""),
                     .remedy = "data.max_tokens=" + std::to_string(context)});
}

bool streams_result(const RunConfig& config) { return strategies().at(config.parallel.strategy).parameters && !makes_adapter(config.peft); }

RunParts load_parts(const RunConfig& config, int threads, const LoadListener& listener) {
  RunParts parts;
  parts.vocabulary = load_vocabulary(config.model);
  parts.base = open_run_model(config.model, parts.vocabulary);

  if (config.peft.adapter.empty()) {
    parts.peft = attach(parts.model(), config.peft, PeftStart{static_cast<std::uint64_t>(config.model.seed), parts.base.read});
    if (const auto& text = parts.peft.prompt_init_text; parts.model().has_virtual_tokens() && !text.empty())
      start_from_tokens(parts.model(), parts.vocabulary.tokenizer->encode(text), parts.base.read);
  } else {
    parts.peft = attach_adapter(parts.model(), config.peft.adapter, {hub_name(config.model.path), parts.base.fingerprint, parts.base.read}, config.peft.dropout);
    for (const auto& [key, take] : keys_of_a_course()) take(parts.peft, config.peft);
  }
  check_context(config, parts.model());

  auto data = config.data;
  if (data.threads == 0) data.threads = threads;
  parts.dataset = load_dataset(data, *parts.vocabulary.tokenizer, listener);
  parts.provenance = {.template_name = parts.dataset.template_name,
                      .template_fingerprint = parts.dataset.template_fingerprint,
                      .tokenizer_fingerprint = parts.dataset.tokenizer_fingerprint,
                      .base_fingerprint = parts.base.fingerprint,
                      .template_text = parts.dataset.template_text,
                      .base_quantization = config.model.quantization ? quantisation_text(*config.model.quantization) : ""};
  return parts;
}

void check_same_parts(const RunParts& parts, Communicator& communicator) {
  for (const auto& [what, mine] : agree(communicator, [&] { return identities(parts); })) {
    const auto all = all_gather_string(communicator, mine);
    for (std::size_t rank = 1; rank < all.size(); ++rank) {
      if (all[rank] == all[0]) continue;
      throw DataError({.who = "rank " + std::to_string(rank),
                       .found = "other " + what + " than rank 0's",
                       .expected = "the same files on every host",
                       .remedy = "copy them again, or put them on a shared file system",
                       .everywhere = true});
    }
  }
}

std::string describe_parameters(CausalLm& model) {
  const auto [all, trained] = count_numbers(model);
  if (trained == all) return with_thousands(all) + " parameters, all of them trained";
  return fmt::format("{} parameters, {} ({:.2g} %) of them trained", with_thousands(all), with_thousands(trained),
                     100.0 * static_cast<double>(trained) / static_cast<double>(all));
}

namespace {

std::string scale_of(const PeftOptions& o) {
  if (!peft_methods().at(o.method).reads("alpha")) return "";
  return fmt::format(", alpha {:g}{}", o.alpha, o.use_rslora ? " (rslora)" : "");
}

// What an adapter computes beside its tensors: all keys of its folder but those of training and of its start.
std::string meaning_of(const PeftOptions& o) {
  nlohmann::ordered_json keys;
  peft_methods().at(o.method).write_config(o, keys);
  for (const auto* key : {"lora_dropout", "adapter_dropout", "init_lora_weights", "init_ia3_weights", "init_weights"}) keys.erase(key);
  keys["begins_from_base"] = begins_from_base(o);
  return fingerprint(keys.dump());
}

}  // namespace

std::string describe_adapter(const PeftOptions& o) {
  const auto& method = peft_methods().at(o.method);
  if (method.reads("num_virtual_tokens")) return fmt::format("{}, {} virtual tokens", o.method, o.num_virtual_tokens);
  const auto list = [](const char* what, const std::vector<std::string>& names) {
    return names.empty() ? "" : fmt::format("{}{}", what, fmt::join(names, ", "));
  };
  const auto rank = method.reads("init_r") ? fmt::format(", r {} to {}", o.init_r, o.target_r) : method.reads("r") ? fmt::format(", r {}", o.r) : "";
  return fmt::format("{}{}{}{}{}", o.method, rank, scale_of(o), list(", on ", o.target_modules.values), list(", whole: ", o.modules_to_save));
}

bool makes_adapter(const PeftOptions& options) { return !peft_methods().at(options.method).peft_type.empty(); }

std::string base_identity(const std::string& fingerprint, const std::optional<QuantOptions>& quantization) {
  return fingerprint.empty() || !quantization ? fingerprint : fingerprint + " as " + describe_quantisation(*quantization);
}

constexpr std::size_t kFilesNamed = 256;  // of thousands, the whole's fingerprint tells

Fingerprints fingerprints(const RunParts& parts, const RunConfig& config) {
  std::string trained;
  int tensors = 0;
  for_each_parameter(parts.model(), [&](const std::string&, Parameter& p) {
    if (!p.trainable) return;
    trained += fmt::format("{} {}\n", p.name, fmt::join(p.value.sizes(), "x"));
    ++tensors;
  });
  const auto meaning = makes_adapter(parts) ? fmt::format("{}, options {}", scale_of(parts.peft), meaning_of(parts.peft)) : "";
  Fingerprints out{{"base model", base_identity(parts.base.fingerprint, config.model.quantization)},
          {"tokenizer", parts.provenance.tokenizer_fingerprint},
          {"template", parts.provenance.template_name + " " + parts.provenance.template_fingerprint},
          {"adapter", fmt::format("{} of {} tensors {}{}", parts.peft.method, tensors, fingerprint(trained), meaning)},
          {"data", parts.dataset.fingerprint},
          {"rows a step", std::to_string(config.train.global_batch_size)}};
  // Which file it is that changed. Contents count, places do not.
  for (std::size_t i = 0; i < parts.dataset.files.size() && i < kFilesNamed; ++i)
    out[fmt::format("{} {}", kDataFile, i + 1)] = fmt::format("{} ({})", parts.dataset.file_fingerprints[i], std::filesystem::path(parts.dataset.files[i]).filename().string());
  return out;
}

void write_result(const RunParts& parts, const RunConfig& config, const std::filesystem::path& folder, const std::string& rule_state,
                  const ParameterValues& values) {
  if (makes_adapter(parts)) {
    auto options = parts.peft;
    if (!rule_state.empty()) peft_methods().at(options.method).take_state(rule_state, options);
    save_adapter(parts.model(), options, hub_name(config.model.path), parts.provenance, folder, values);
    return;
  }
  const auto& vocabulary = parts.vocabulary;
  const auto& tokenizer = *vocabulary.tokenizer;
  HubSave save{
      .provenance = parts.provenance, .bos = tokenizer.bos, .eos = tokenizer.eos, .pad = tokenizer.pad, .replace = true, .values = values};
  const auto take_code = [&](const std::filesystem::path& from, const nlohmann::json& named_by) {
    const auto code = code_files(from, named_by);
    save.copies.insert(save.copies.end(), code.begin(), code.end());
  };
  if (!config.model.path.empty()) take_code(config.model.path, nlohmann::json::parse(parts.base.config));
  if (vocabulary.folder != config.model.path) take_code(vocabulary.folder, {});
  write_beside(save, vocabulary);
  save_hub_folder(parts.model(), parts.base.config, folder, save);
}

}  // namespace herd
