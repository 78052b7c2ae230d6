#include "launch/data_command.h"

#include <CLI/CLI.hpp>
#include <iostream>

#include "data/audit.h"
#include "data/dataset.h"
#include "launch/command_line.h"
#include "launch/data_arguments.h"
#include "launch/data_cull_command.h"
#include "launch/data_format_command.h"
#include "launch/data_generate_command.h"
#include "launch/data_import_command.h"
#include "launch/data_list_command.h"
#include "launch/data_records_command.h"
#include "launch/data_stats_command.h"
#include "launch/hub_places.h"
#include "launch/run_config.h"
#include "launch/run_vocabulary.h"
#include "runtime/base/exit_codes.h"

namespace herd {
namespace {

void audit_recipe(RunConfig config, const AuditOptions& options) {
  config.data.streaming = false;  // all of it is looked at
  config.peft.adapter.clear();  // of the rest, nothing is fetched that is not read
  if (!config.model.tokenizer.empty()) config.model.path.clear();
  fetch_run(config, HubUse::kTokenizer);
  if (tokenizer_folder(config.model).empty())
    throw ConfigError(
        {.who = "model.tokenizer", .found = "no tokenizer", .expected = "the folder of one, here or as model.path", .remedy = ""});
  const auto vocabulary = load_vocabulary(config.model);
  const auto& tokenizer = *vocabulary.tokenizer;
  std::cout << audit(load_dataset(config.data, tokenizer), tokenizer, config.data, options);
}

}  // namespace

int data_command(int argc, char** argv) {
  CLI::App app("Records: what there is, what a recipe's data are and become, and files of other forms made into records.", "herd data");
  app.require_subcommand(1);
  auto* command = app.add_subcommand("audit", "samples with the learnt tokens marked, lengths, what is cut or left out");
  std::vector<std::string> arguments;
  AuditOptions options{.samples = 3, .color = wants_color()};
  command->add_option("recipe", arguments, "a YAML recipe, then overrides as key.path=value")->required();
  command->add_option("--samples", options.samples, "examples to print")->check(CLI::NonNegativeNumber)->capture_default_str();
  add_data_stats(app);
  add_data_records(app);
  add_data_lists(app);
  add_data_format(app);
  add_data_import(app);
  add_data_demo(app);
  int code = kExitSuccess;
  add_data_generate(app, code);
  add_data_cull(app);
  if (!parse_arguments(app, argc, argv)) return kExitSuccess;
  if (command->parsed()) audit_recipe(resolve_run(recipe_and_overrides(arguments)).config, options);
  return code;
}

}  // namespace herd
