#include "launch/train_command.h"

#include <CLI/CLI.hpp>

#include "launch/command_line.h"
#include "launch/hub_places.h"
#include "launch/rank_failure.h"
#include "launch/run_adapter.h"
#include "launch/run_end.h"
#include "launch/run_start.h"
#include "launch/train_run.h"
#include "parallel/comm/agree.h"
#include "parallel/comm/backends.h"
#include "parallel/comm/nccl.h"
#include "runtime/base/exit_codes.h"
#include "runtime/base/log.h"

namespace herd {
namespace {

int run_on_rank(const std::vector<std::string>& arguments) {
  ResolvedRun run;
  std::exception_ptr error;
  try {
    run = resolve_run(recipe_and_overrides(arguments));
    run.require_trainable();
  } catch (...) {
    error = std::current_exception();  // the other ranks see the same; one of them is to tell it
  }
  const auto& parallel = run.config.parallel;
  // GPUs come later: what goes wrong with them is told over this one.
  const auto backend = device_of_backend(parallel.backend) == "cuda" ? "auto" : parallel.backend;
  auto communicator = make_communicator(backend, {.deadline_s = parallel.load_timeout_s, .check = parallel.check});
  set_log_rank(communicator->rank(), communicator->size());
  std::optional<Signals> signals;
  std::optional<ClaimedFolder> claimed;
  try {
    agree_on(*communicator, error);
    check_same_start(run, *communicator);
    const auto fetched = fetch_run(run.config, *communicator);
    agree(*communicator, [&] { adopt_adapter(run); });
    check_same_recipe(run, *communicator);
    if (run.config.model.device == "cuda") use_gpus(communicator);
    signals.emplace();
    claimed = claim_run_folder(run, *communicator);
    for (const auto& line : fetched) log_info("{}", line);
    record_flight(claimed->folder, *communicator);
    communicator->watch(last_words(claimed->folder, communicator->rank(), *signals));
    const auto outcome = train_run(run, claimed->folder, *communicator, [&] { return signals->pending(); });
    communicator->barrier().wait();  // no rank leaves before all have saved: a launcher may end the others then
    communicator->note(kEnded);
    communicator->stop_watching();
    return exit_code(outcome.signal);
  } catch (const std::exception& e) {
    return fail_on_rank(e, claimed ? &claimed->folder : nullptr, *communicator);
  }
}

}  // namespace

int train_command(int argc, char** argv) {
  CLI::App app("Trains what a recipe says, on the ranks that mpirun or srun started.", "herd train");
  std::vector<std::string> arguments;
  app.add_option("recipe", arguments, "a YAML recipe (configs/recipes), then overrides as key.path=value")->required();
  if (!parse_arguments(app, argc, argv)) return kExitSuccess;
  return run_on_rank(arguments);
}

}  // namespace herd
