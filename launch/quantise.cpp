#include "launch/quantise.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "launch/model_files.h"
#include "launch/quantise_blocks.h"
#include "runtime/base/new_folder.h"

namespace herd {
namespace {

nlohmann::ordered_json settings_of(const QuantiseRequest& request) {
  const auto& o = request.options;
  return {{"bits", o.bits}, {"group_size", o.group_size}, {"damp_percent", o.damp}, {"desc_act", o.act_order}, {"static_groups", false},
          {"sym", o.symmetric}, {"true_sequential", false}, {"lm_head", false}, {"quant_method", "gptq"}, {"checkpoint_format", "gptq"}};
}

LoadedModel open_dense(const QuantiseRequest& request, at::ScalarType dtype) {
  auto loaded = open_hub_folder(request.model, dtype);
  if (!loaded.gptq) return loaded;
  throw ConfigError({.who = request.model.string(),
                     .found = "a model that is quantised already (" + describe_quantisation(as_options(*loaded.gptq)) + ")",
                     .expected = "a dense one",
                     .remedy = "take the unquantised folder"});
}

std::int64_t window_of(const QuantiseRequest& request, const ModelFacts& facts) {
  constexpr std::int64_t kTokens = 2048;  // the paper's
  const auto tokens = request.tokens.value_or(std::min(kTokens, facts.max_positions));
  if (tokens <= facts.max_positions) return tokens;
  throw ConfigError({.who = "--tokens",
                     .found = std::to_string(tokens),
                     .expected = "at most " + std::to_string(facts.max_positions) + ", the model's max_position_embeddings",
                     .remedy = "--tokens " + std::to_string(facts.max_positions)});
}

}  // namespace

QuantiseReport quantise_folder(const QuantiseRequest& request) {
  const NewFolder staging(request.output, NewFolder::Place::kFree);  // known to be free before hours of work
  QuantiseReport report;
  std::map<std::string, NamedTensors> tensors;
  {
    const auto loaded = open_dense(request, number_formats().at(request.dtype));
    const auto tokens = window_of(request, loaded.model->facts);
    const auto tokenizer = load_tokenizer(request.model);
    check_vocabulary(loaded.model->facts, tokenizer->vocab_size(), request.model.string());
    const auto calibration = read_calibration(request.calibration, request.evaluate, request.samples, tokens, *tokenizer);
    auto found = quantise_blocks(loaded, calibration, {request.options, request.method == "rtn", request.on_layer});
    report = {.layers = found.layers.size(), .shown = calibration.shown.size(), .held_out = calibration.held_out.size(), .tokens = tokens,
              .perplexity_before = found.perplexity_before, .perplexity_after = found.perplexity_after};
    for (const auto& [name, matrix] : found.layers) tensors.emplace(name + ".weight", published(matrix, request.options.bits, name));
  }
  // What stays dense is copied in the format that it has.
  const auto stored = open_dense(request, stored_format(open_hub_weights(request.model)));
  auto config = nlohmann::ordered_json::parse(stored.config);
  const auto settings = settings_of(request);
  config["quantization_config"] = settings;
  save_hub_folder(*stored.model, config.dump(2), staging.path(),
                  {.copies = files_beside_weights(request.model, stored.config),
                   .provenance = read_provenance(request.model),
                   .instead = std::move(tensors),
                   .replace = true,
                   .values = stored_values(stored),
                   .beside = [&](const std::filesystem::path& folder) { write_file_atomically(folder / "quantize_config.json", settings.dump(2) + "\n"); }});
  staging.commit();
  return report;
}

}  // namespace herd
