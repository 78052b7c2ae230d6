#include <nlohmann/json.hpp>

#include "models/hub.h"
#include "models/hub_config.h"
#include "runtime/nn/quantise.h"

// In how many bits a folder's model is kept: as its files have it, or as a recipe asks.
namespace herd {
namespace {

std::optional<GptqConfig> gptq_of(const std::string& config, const std::string& who) {
  return read_gptq_config(parse_hub_json(config, who, "a Hugging Face model's config"), who);
}

[[noreturn]] void refuse_rounding(const std::string& folder) {
  throw ConfigError({.who = "model.quantization.method",
                     .found = "gptq for " + folder + ", a dense folder",
                     .expected = "one that GPTQ has quantised: it needs text to look at",
                     .remedy = "herd quantize " + folder + " OUTPUT --calibration FILE, then model.path=OUTPUT; nf4 needs no text"});
}

}  // namespace

std::shared_ptr<const Weights> keep_as_stored(CausalLm& model, const std::string& config, const std::shared_ptr<const Weights>& weights,
                                              const std::string& who, std::optional<GptqConfig>& found) {
  found = gptq_of(config, who);
  if (!found && !holds_gptq(*weights)) return weights;
  if (!found) found.emplace();
  return keep_gptq(model, weights, *found, [&](const std::string& name) { return stored_name(model, *weights, name); }, who);
}

void keep_as_asked(LoadedModel& opened, const std::optional<QuantOptions>& asked, const std::string& folder) {
  if (!asked) return;
  if (opened.gptq) return check_storage(*asked, *opened.gptq, folder);
  if (asked->method == "gptq" && !folder.empty()) refuse_rounding(folder);
  opened.read = quantise(*opened.model, *asked, opened.read);
}

void keep_as_told(CausalLm& model, const std::string& config, const std::optional<QuantOptions>& asked, const std::string& folder) {
  auto told = gptq_of(config, folder);
  const auto file = told || folder.empty() || has_weights(folder) ? std::nullopt : gptq_file_in(folder);
  if (file) {  // whose tensors alone tell
    keep_as_stored(model, config, std::make_shared<const Weights>(open_weights(*file)), folder, told);
    if (asked) check_storage(*asked, *told, folder);
    return;
  }
  if (told && asked) check_storage(*asked, *told, folder);
  if (told) quantise(model, as_options(*told), {});
  else if (asked && asked->method == "gptq" && !folder.empty()) refuse_rounding(folder);
  else if (asked) quantise(model, *asked, {});
}

}  // namespace herd
