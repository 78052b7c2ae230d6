#include "launch/jobs/slurm.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <sstream>
#include <utility>

#include "launch/jobs/slurm_words.h"
#include "runtime/base/child_process.h"
#include "runtime/base/error.h"
#include "runtime/base/file.h"
#include "runtime/base/log.h"

namespace herd {
namespace {

struct Said {
  int code = 0;
  std::string text;  // stdout and stderr
};

Said run(const std::vector<std::string>& command) {
  const int output = ::memfd_create("output", MFD_CLOEXEC);
  if (output < 0) throw io_error("a file in memory", "cannot be made", errno);
  try {
    Said said{.code = ChildProcess({.command = command, .output = output}).wait(), .text = ""};
    said.text = read_file("/proc/self/fd/" + std::to_string(output));
    ::close(output);
    while (said.text.ends_with('\n')) said.text.pop_back();
    return said;
  } catch (...) {
    ::close(output);
    throw;
  }
}

std::string run_well(const std::vector<std::string>& command, const std::string& remedy) {
  auto said = run(command);
  if (said.code == 0) return std::move(said.text);
  throw IoError({.who = command.front(),
                 .found = said.text.empty() ? "exit code " + std::to_string(said.code) : said.text,
                 .expected = "",
                 .remedy = remedy});
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

}  // namespace

void require_slurm() {
  try {
    run({"sbatch", "--version"});
  } catch (const IoError& error) {
    throw ConfigError(
        {.who = "sbatch",
         .found = error.complaint().found,
         .expected = "SLURM's commands in PATH",
         .remedy =
             "submit where the cluster's batch jobs are submitted; --dry-run shows the script, mpirun -n N herd train runs here and now"});
  }
}

std::string submit_script(const std::filesystem::path& script, const std::string& before) {
  std::vector<std::string> command{"sbatch", "--parsable"};
  if (!before.empty()) command.insert(command.end(), {"--dependency=afterok:" + before, "--kill-on-invalid-dep=yes"});
  command.push_back(script.string());
  const auto said = run_well(command, "nothing is queued and nothing recorded");
  for (const auto& line : lines_of(said))  // `12`, or `12;cluster`; warnings may stand before it
    if (const auto id = line.substr(0, line.find(';')); is_job_id(id)) return id;
  throw IoError(
      {.who = "sbatch", .found = "'" + said + "'", .expected = "a job's number", .remedy = "squeue --me shows whether it is queued"});
}

std::optional<std::map<std::string, QueuedJob>> queued_jobs() {
  Said said;
  try {
    said = run({"squeue", "--me", "--noheader", "--array", "--format=%i|%T|%r"});
  } catch (const IoError&) {
    return std::nullopt;  // no SLURM here
  }
  if (said.code != 0) {
    const auto lines = lines_of(said.text);
    log_warning("what waits in the queue is not known: {}",
                lines.empty() ? "squeue ended with " + std::to_string(said.code) : lines.back());
    return std::nullopt;
  }
  std::map<std::string, QueuedJob> jobs;
  for (const auto& line : lines_of(said.text)) {
    const auto first = line.find('|'), second = line.find('|', first + 1);
    if (first != std::string::npos && second != std::string::npos)
      jobs[line.substr(0, first)] = {.state = line.substr(first + 1, second - first - 1), .reason = line.substr(second + 1)};
  }
  return jobs;
}

void ask_job_to_save(const std::string& job) { run_well({"scancel", "--batch", "--signal=USR1", job}, ""); }

void cancel_job(const std::string& job) { run_well({"scancel", job}, ""); }

}  // namespace herd
