#include "launch/config_command.h"

#include <CLI/CLI.hpp>
#include <iostream>

#include "launch/command_line.h"
#include "launch/run_adapter.h"
#include "runtime/base/exit_codes.h"

namespace herd {

int config_command(int argc, char** argv) {
  CLI::App app("Prints a recipe as herd reads it, each value with where it came from, or documents its keys.", "herd config");
  std::vector<std::string> arguments;
  std::string key;
  bool plain = false;
  app.add_option("recipe", arguments, "a YAML recipe, then overrides as key.path=value");
  auto* explain =
      app.add_option("--explain", key, "document a key or a section; without a name, list the sections")->expected(0, 1)->type_name("KEY");
  app.add_flag("--plain", plain, "leave out where the values came from");
  if (!parse_arguments(app, argc, argv)) return kExitSuccess;

  if (explain->count() > 0) {
    RunConfig defaults;
    Schema schema;
    describe(schema, defaults);
    std::cout << schema.explain(key);
    return kExitSuccess;
  }
  if (arguments.empty()) {
    throw ConfigError({.who = "command line",
                       .found = "no recipe",
                       .expected = "herd config RECIPE [key=value…], or herd config --explain [KEY]",
                       .remedy = ""});
  }
  auto run = resolve_run(recipe_and_overrides(arguments));
  // A recipe can be looked at where its adapter is not, or not yet.
  if (std::filesystem::exists(std::filesystem::path(run.config.peft.adapter) / "adapter_config.json")) adopt_adapter(run);
  std::cout << to_yaml(run.tree, !plain);
  return kExitSuccess;
}

}  // namespace herd
