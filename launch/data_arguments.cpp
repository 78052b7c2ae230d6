#include "launch/data_arguments.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <filesystem>

#include "launch/command_line.h"
#include "launch/hub_places.h"

namespace herd {

void add_data_arguments(CLI::App& command, DataArguments& arguments, bool with_tokenizer) {
  command.add_option("recipe", arguments.recipe, "a YAML recipe, then overrides as key.path=value");
  command.add_option("--sets", arguments.sets, "files, patterns or names of `herd data list`, in place of the recipe's");
  if (!with_tokenizer) return;
  command.add_option("--template", arguments.template_name, "one of `herd data templates`, or a file of that form");
  command.add_option("--tokenizer", arguments.tokenizer, "folder of a tokenizer");
}

RunConfig DataArguments::config(bool with_tokenizer) const {
  auto words = recipe;
  std::vector<DataSet> own;
  for (const auto& set : sets) {  // --sets takes all that follows it
    if (set.find('=') != std::string::npos && !std::filesystem::exists(set)) words.push_back(set);
    else own.emplace_back(set);
  }
  const auto sources = recipe_and_overrides(words);
  auto config = resolve_run(sources).config;
  if (!own.empty()) config.data.sets = own;
  if (config.data.sets.empty())
    throw ConfigError({.who = "data.sets", .found = "no set", .expected = "a recipe that names some, or --sets FILE…", .remedy = ""});
  if (!template_name.empty()) config.data.template_name = template_name;
  if (!tokenizer.empty()) config.model.tokenizer = tokenizer;
  config.data.validate();
  config.peft.adapter.clear();  // nothing is fetched that is not read
  if (!with_tokenizer) config.model.tokenizer.clear();
  if (!with_tokenizer || !config.model.tokenizer.empty()) config.model.path.clear();
  fetch_run(config, HubUse::kTokenizer);
  return config;
}

bool wants_color() { return isatty(STDOUT_FILENO) && !std::getenv("NO_COLOR"); }

}  // namespace herd
