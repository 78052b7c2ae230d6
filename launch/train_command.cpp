#include "launch/train_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <thread>

#include "launch/command_line.h"
#include "launch/hub_places.h"
#include "launch/run_adapter.h"
#include "launch/run_start.h"
#include "launch/train_run.h"
#include "parallel/comm/agree.h"
#include "parallel/comm/backends.h"
#include "parallel/comm/nccl.h"
#include "runtime/base/exit_codes.h"
#include "runtime/base/log.h"

namespace herd {
namespace {

int code_of(const std::exception& error) { return dynamic_cast<const ConfigError*>(&error) ? kExitUsage : kExitFailure; }

bool on_all_ranks(const std::exception& error, const Communicator& communicator) {
  const auto* ours = dynamic_cast<const Error*>(&error);
  return communicator.size() == 1 || (ours && ours->complaint().everywhere);
}

// The first cause is told once: by rank 0 where all ranks have it; else by the rank that has it, which ends the others.
int fail(const std::exception& error, const RunFolder* folder, Communicator& communicator) {
  const auto rank = communicator.rank();
  if (on_all_ranks(error, communicator)) {
    communicator.stop_watching();
    if (rank != 0) return code_of(error);
    if (folder) write_cause(*folder, rank, error.what());
    show_status_line("");
    std::fprintf(stderr, "error: %s\n", error.what());
    return code_of(error);
  }
  const bool talk_failed = dynamic_cast<const CommError*>(&error) && folder;
  const bool consequence = talk_failed && first_cause(*folder);
  if (folder) write_cause(*folder, rank, error.what());
  const auto message = fmt::format("error: rank {}: {}", rank, error.what());
  const auto hint = talk_failed ? fmt::format("\nherd flight {} shows what each rank did last", folder->root().string()) : "";
  communicator.abort(code_of(error), consequence ? "" : message + hint);
  __builtin_unreachable();  // gcc does not believe [[noreturn]] of a virtual function
}

// What the watchdog says before it ends this process. A launcher that ends all ranks is no failure of the first that goes.
std::function<void(const std::string&)> last_words(const RunFolder& folder, int rank, const Signals& signals) {
  return [folder, rank, &signals](const std::string& cause) {
    constexpr auto kTogether = std::chrono::milliseconds(100);  // several ranks see one rank go: the earliest of them tells it
    const auto signal = signals.pending();
    write_cause(folder, rank, signal == Signal::none ? cause : fmt::format("{}, after {} came", cause, name(signal)));
    std::this_thread::sleep_for(kTogether);
    const auto first = first_cause(folder);
    const bool tells = !first || first->rank == rank;  // without a folder to write to, each does
    if (tells && signal == Signal::none) std::fprintf(stderr, "error: rank %d: %s\n", rank, cause.c_str());
  };
}

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
    return fail(e, claimed ? &claimed->folder : nullptr, *communicator);
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
