#include "launch/plan_command.h"

#include <CLI/CLI.hpp>
#include <iostream>

#include "launch/command_line.h"
#include "launch/hub_places.h"
#include "launch/plan_text.h"
#include "launch/run_adapter.h"
#include "runtime/base/exit_codes.h"

namespace herd {

int plan_command(int argc, char** argv) {
  CLI::App app("What a recipe's run would take on so many ranks: memory, traffic, steps. Nothing is trained, no weights are read.",
               "herd plan");
  std::vector<std::string> arguments;
  Job job;
  std::uint64_t memory = 0;
  bool json = false;
  app.add_option("recipe", arguments, "a YAML recipe, then overrides as key.path=value")->required();
  app.add_option("--ranks", job.ranks, "processes of the job")->required()->check(CLI::Range(1, 1 << 16));
  app.add_option("--nodes", job.nodes, "machines that they are spread over evenly")->check(CLI::Range(1, 1 << 16))->capture_default_str();
  auto* limit =
      app.add_option("--memory", memory, "what a rank may hold: 80GiB, 24GB; where that is too little, the plan says what would do")
          ->transform(CLI::AsSizeValue(true));
  app.add_flag("--json", json, "for programs");
  if (!parse_arguments(app, argc, argv)) return kExitSuccess;

  auto run = resolve_run(recipe_and_overrides(arguments));
  if (run.config.model.path.empty() && !run.config.model.config) run.require_trainable();  // throws what is missing
  fetch_run(run.config, HubUse::kConfig);
  adopt_adapter(run);
  const auto plan = make_plan(run.config, job, limit->count() > 0 ? std::optional(static_cast<std::int64_t>(memory)) : std::nullopt);
  std::cout << (json ? to_json(plan, run.config) : to_text(plan, run.config));
  return kExitSuccess;
}

}  // namespace herd
