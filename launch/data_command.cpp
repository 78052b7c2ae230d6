#include "launch/data_command.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <iostream>

#include "data/audit.h"
#include "data/dataset.h"
#include "launch/command_line.h"
#include "launch/run_config.h"
#include "runtime/base/exit_codes.h"

namespace herd {
namespace {

constexpr const char* kUsage = "herd data audit RECIPE [key=value…] [--samples N]";

void audit_recipe(const RunConfig& config, const AuditOptions& options) {
  const auto& folder = config.model.tokenizer.empty() ? config.model.path : config.model.tokenizer;
  if (folder.empty())
    throw ConfigError({.who = "model.tokenizer", .found = "no tokenizer", .expected = "the folder of one, here or as model.path", .remedy = ""});
  const auto tokenizer = load_tokenizer(folder);
  std::cout << audit(load_dataset(config.data, *tokenizer), *tokenizer, config.data, options);
}

bool wants_color() { return isatty(STDOUT_FILENO) && !std::getenv("NO_COLOR"); }

}  // namespace

int data_command(int argc, char** argv) {
  CLI::App app("Shows what a recipe's data become: samples with the learnt tokens marked, lengths, what is cut or left out.", "herd data");
  std::vector<std::string> arguments;
  AuditOptions options{.samples = 3, .color = wants_color()};
  app.add_option("audit", arguments, "audit, then a YAML recipe, then overrides as key.path=value");
  app.add_option("--samples", options.samples, "examples to print")->check(CLI::NonNegativeNumber);
  if (!parse_arguments(app, argc, argv)) return kExitSuccess;
  if (arguments.size() < 2 || arguments[0] != "audit")
    throw ConfigError({.who = "command line", .found = arguments.empty() ? "nothing to do" : "'" + arguments[0] + "'", .expected = kUsage, .remedy = ""});
  arguments.erase(arguments.begin());
  audit_recipe(resolve_run(recipe_and_overrides(arguments)).config, options);
  return kExitSuccess;
}

}  // namespace herd
