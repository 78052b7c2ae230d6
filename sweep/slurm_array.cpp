#include "sweep/slurm_array.h"

#include <fmt/format.h>

#include <algorithm>

namespace herd::sweep {
namespace {

std::string quoted(const std::string& word) {
  const auto plain = [](unsigned char c) { return std::isalnum(c) || std::string_view("/._-=:,+@%").find(static_cast<char>(c)) != std::string_view::npos; };
  if (!word.empty() && std::all_of(word.begin(), word.end(), plain)) return word;
  std::string out = "'";
  for (const char c : word) out += c == '\'' ? "'\\''" : std::string(1, c);
  return out + "'";
}

}  // namespace

std::string shell_words(const std::vector<std::string>& words) {
  std::string out;
  for (const auto& word : words) out += (out.empty() ? "" : " ") + quoted(word);
  return out;
}

std::string array_script(const ArrayJob& job, const SweepOptions& options) {
  auto out = fmt::format(R"(#!/bin/bash
# Written by herd sweep: each element of the array runs its points, one after another.
#SBATCH --job-name={}
#SBATCH --array=0-{}%{}
#SBATCH --ntasks={}
#SBATCH --output={}/slurm-%a.txt
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --signal=B:USR1@120
)",
                         job.folder.filename().string(), job.workers - 1, options.run.slots, options.run.ranks, job.folder.string());
  for (const auto& option : options.slurm) out += "#SBATCH " + option + "\n";  // the last one wins
  out += fmt::format(R"(
{} sweep {} --worker "$SLURM_ARRAY_TASK_ID/{}" & job=$!
trap 'kill -USR1 $job' USR1 TERM
wait $job; code=$?
while kill -0 $job 2>/dev/null; do wait $job; code=$?; done   # a signal ends a wait
if ((code == 75)); then scontrol requeue "${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID"; fi
exit $code
)",
                     quoted(job.program.string()), job.arguments, job.workers);
  return out;
}

std::string report_script(const ArrayJob& job) {
  return fmt::format(R"(#!/bin/bash
# Written by herd sweep: the table of what the array has done, when it has ended.
#SBATCH --job-name={}-report
#SBATCH --ntasks=1
#SBATCH --output={}/slurm-report.txt

{} sweep {} --report
)",
                     job.folder.filename().string(), job.folder.string(), quoted(job.program.string()), job.arguments);
}

}  // namespace herd::sweep
