#include "models/registry.h"

#include <nlohmann/json.hpp>

#include "models/llama.h"

namespace herd {

const Table<Family>& families() {
  static const Table<Family> table{"model family",
                                   {
                                       {"llama", {.make = make_llama, .tested_against = "transformers"}},
                                   }};
  return table;
}

std::unique_ptr<CausalLm> make_model(const nlohmann::json& config) {
  if (!config.contains("model_type"))
    throw ConfigError({.who = "config.json", .found = "no 'model_type'", .expected = "one of " + join(families().names()), .remedy = ""});
  const auto name = config["model_type"].get<std::string>();
  auto model = families().at(name).make(config);
  model->facts.family = name;
  assign_names(*model);
  return model;
}

}  // namespace herd
