#include "launch/submit_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "launch/command_line.h"
#include "launch/jobs/submission.h"
#include "runtime/base/exit_codes.h"

namespace herd {
namespace {

void declare(CLI::App& app, SubmitOptions& o, std::int64_t& ranks_per_node) {
  auto& job = o.job;
  app.add_option("recipe", o.arguments,
                 "a YAML recipe, then overrides as key.path=value; of an array, %a in an override is the element's index")
      ->required();
  app.add_option("--nodes", job.nodes, "nodes")->check(CLI::Range(1, 100000))->capture_default_str();
  app.add_option("--ranks-per-node", ranks_per_node, "ranks on each node; default: its GPUs, or 1")->check(CLI::Range(1, 1024));
  app.add_option("--gpus-per-node", job.gpus_per_node, "GPUs on each node; 0: none")->check(CLI::Range(0, 1024))->capture_default_str();
  app.add_option("--cpus-per-rank", job.cpus_per_rank, "cores of each rank; default: model.threads")->check(CLI::Range(1, 4096));
  app.add_option(
      "--time", job.time,
      "limit of the job's time, as sbatch takes it: minutes, HH:MM:SS, D-HH; the run is saved and queued again before it is over");
  app.add_option("--partition", job.partition, "where it waits; default: the site's");
  app.add_option("--account", job.account, "who pays; default: the site's");
  app.add_option("--array", job.array, "one run for each index, in run.name-INDEX: 0-7, 1,3,5, 0-15:4, and %2 behind it for two at once");
  app.add_option("--after", job.after, "begin when this job has ended well");
  declare_list(app, "--then", o.then,
               "a herd command line to run behind it, on one node: merge, evaluate --task …; may be given several times");
  app.add_option("--site", o.site, "a site's file, or its name in cluster/sites; default: HERD_SITE, or default");
  app.add_flag("--dry-run", o.dry_run, "show the scripts; write and queue nothing");
}

void show(const Submission& submission) {
  for (const auto& script : submission.scripts) fmt::print("# ---- {}\n{}", script.file.string(), script.text);
}

void tell(const Submission& submission, const std::vector<std::string>& jobs) {
  for (const auto& element : submission.elements)
    fmt::print("job {}{}: {}\n", jobs.front(), element.index.empty() ? "" : "_" + element.index, element.folder.root().string());
  for (std::size_t i = 1; i < jobs.size(); ++i)
    fmt::print("job {}: {}, when job {} has ended well\n", jobs[i], submission.scripts[i].name, jobs[i - 1]);
}

}  // namespace

int submit_command(int argc, char** argv) {
  CLI::App app("Queues a run in SLURM: it saves before its time is over, queues itself again and goes on (docs/slurm.md).", "herd submit");
  SubmitOptions options;
  std::int64_t ranks_per_node = 0;
  declare(app, options, ranks_per_node);
  if (!parse_arguments(app, argc, argv)) return kExitSuccess;
  options.job.ranks_per_node = ranks_per_node > 0 ? ranks_per_node : std::max<std::int64_t>(1, options.job.gpus_per_node);
  const auto submission = prepare(options);
  if (options.dry_run) show(submission);
  else tell(submission, submit(submission));
  return kExitSuccess;
}

}  // namespace herd
