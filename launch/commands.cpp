#include "launch/commands.h"

#include <cstdio>

#include "launch/chat_command.h"
#include "launch/checkpoint_command.h"
#include "launch/command_line.h"
#include "launch/config_command.h"
#include "launch/data_command.h"
#include "launch/doctor_command.h"
#include "launch/evaluate_command.h"
#include "launch/fetch_command.h"
#include "launch/flight_command.h"
#include "launch/generate_command.h"
#include "launch/launch_command.h"
#include "launch/merge_command.h"
#include "launch/model_command.h"
#include "launch/peft_command.h"
#include "launch/plan_command.h"
#include "launch/predict_command.h"
#include "launch/quantise_command.h"
#include "launch/runs_command.h"
#include "launch/serve_command.h"
#include "launch/submit_command.h"
#include "launch/sweep_command.h"
#include "launch/train_command.h"
#include "runtime/base/exit_codes.h"

namespace herd {
namespace {

void print_help(std::FILE* to) {
  std::fprintf(to,
               "herd: distributed instruction fine-tuning of large language models\n\nusage: herd COMMAND …    (herd COMMAND --help)\n\n");
  for (const auto& [name, command] : commands()) std::fprintf(to, "  %-12s %s\n", name.c_str(), command.summary.c_str());
}

}  // namespace

const Table<Command>& commands() {
  static const Table<Command> table{"command",
                                    {
                                        {"chat", {chat_command, "talk with a model at the terminal"}},
                                        {"checkpoint", {checkpoint_command, "list, verify, show or consolidate a run's checkpoints"}},
                                        {"config", {config_command, "print a recipe as it is read, or document its keys"}},
                                        {"data", {data_command, "audit what a recipe's data become; make records of other files"}},
                                        {"doctor", {doctor_command, "whether hosts are fit for a run: builds, folder, clocks, room, GPUs, links"}},
                                        {"evaluate", {evaluate_command, "measure a model by a task; judge answers; compare results"}},
                                        {"fetch", {fetch_command, "bring a model or data set from the hub into the shared cache"}},
                                        {"flight", {flight_command, "what each rank of a run did last, and where the ranks differ"}},
                                        {"generate", {generate_command, "answer a prompt, or a file of them, with a model"}},
                                        {"launch", {launch_command, "start ranks by mpirun and see a run to its end: checks, saves, restarts"}},
                                        {"merge", {merge_command, "write a base model and its adapter as one Hugging Face folder, verified"}},
                                        {"model", {model_command, "list families; inspect, make, convert or extend a folder"}},
                                        {"peft", {peft_command, "list the PEFT methods, or explain one: keys, result, merge"}},
                                        {"plan", {plan_command, "what a recipe's run would take on so many ranks, without running it"}},
                                        {"predict", {predict_command, "answer files of records on every rank of an mpirun or srun, resumably"}},
                                        {"quantize", {quantise_command, "write a dense model with its layers in 2 to 8 bits, by GPTQ"}},
                                        {"runs", {runs_command, "list runs; show, compare, follow or stop them"}},
                                        {"serve", {serve_command, "answer over HTTP, as OpenAI's API does, with a model and its adapters"}},
                                        {"submit", {submit_command, "queue a run in SLURM, which saves, queues itself again and goes on"}},
                                        {"sweep", {sweep_command, "run many points of a recipe, resumably, and say which is best"}},
                                        {"train", {train_command, "train what a recipe says, on every rank of an mpirun or srun"}},
                                    }};
  return table;
}

int run_herd(int argc, char** argv) {
  const std::string name = argc > 1 ? argv[1] : "";
  if (name == "--help" || name == "-h" || name == "help") {
    print_help(stdout);
    return kExitSuccess;
  }
  if (name.empty()) {
    print_help(stderr);
    return kExitUsage;
  }
  return run_guarded([&] { return commands().at(name).run(argc - 1, argv + 1); });
}

}  // namespace herd
