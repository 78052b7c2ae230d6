#include "launch/jobs/submission.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <optional>

#include "launch/command_line.h"
#include "launch/hub_places.h"
#include "launch/jobs/fit.h"
#include "launch/jobs/job_record.h"
#include "launch/jobs/slurm.h"
#include "launch/jobs/slurm_words.h"
#include "launch/jobs/stages.h"
#include "launch/run_adapter.h"
#include "launch/run_end.h"
#include "launch/run_parts.h"
#include "launch/runs/summary.h"
#include "runtime/base/file.h"
#include "runtime/base/log.h"
#include "runtime/base/process.h"

namespace herd {
namespace {

namespace fs = std::filesystem;

std::string with_index(std::string text, const std::string& index) {
  if (!index.empty())
    for (auto at = text.find("%a"); at != std::string::npos; at = text.find("%a", at + index.size())) text.replace(at, 2, index);
  return text;
}

// The recipe as the job will read it: under the run's own name, and resolved now, so that what is changed while it waits is another run's.
ResolvedRun resolve(const std::vector<std::string>& arguments, const std::string& index, const std::string& name) {
  auto sources = recipe_and_overrides(arguments);
  for (auto& override : sources.overrides) override = with_index(override, index);
  if (!name.empty()) sources.overrides.push_back("run.name=" + to_flow(ConfigNode::scalar(name, true)));
  auto run = resolve_run(sources);
  run.require_trainable();
  if (!run.config.peft.adapter.empty()) {
    // Its shape is adopted while one still sees which keys the recipe itself has said.
    run.config.peft.adapter = hub_folder(run.config.peft.adapter, HubUse::kAdapter, "peft.adapter");
    adopt_adapter(run);
  }
  return run;
}

void refuse_busy(const RunFolder& folder, const QueuedJobs& queued) {
  const auto refuse = [&](const std::string& found, const std::string& remedy) {
    throw IoError({.who = "run folder " + folder.root().string(), .found = found, .expected = "", .remedy = remedy});
  };
  if (const auto holder = lock_holder(folder); holder && holder->living)
    refuse("in use by another run (" + holder->text + ")", "herd runs stop ends it; another run.name begins a new one");
  const auto record = read_job(folder);
  if (!record || !queued) return;
  if (const auto job = queued->find(record->job); job != queued->end())
    refuse("job " + record->job + " is queued for it (" + job->second.state + ")", "scancel " + record->job + ", or another run.name");
}

// What was there before, to be put back where sbatch refuses.
class Kept {
 public:
  /// Makes a run's folder, which nobody else may have made meanwhile.
  void claim(const fs::path& folder) {
    for (auto above = folder.parent_path(); !fs::exists(above); above = above.parent_path()) made_.push_back(above);
    make_folder(folder.parent_path());
    std::error_code error;
    if (!fs::create_directory(folder, error))
      throw IoError({.who = "run folder " + folder.string(),
                     .found = error ? error.message() : "made by somebody else just now",
                     .expected = "a new one",
                     .remedy = error ? "" : "submit again"});
    made_.push_back(folder);
  }
  void write(const fs::path& file, const std::string& text) {
    former_.emplace_back(file, fs::exists(file) ? std::optional(read_file(file)) : std::nullopt);
    write_file_atomically(file, text);
  }
  void undo() noexcept {
    std::error_code ignored;
    for (const auto& [file, text] : former_) {
      try {
        text ? write_file_atomically(file, *text) : void(fs::remove(file));
      } catch (const std::exception&) {
        continue;  // the refusal is what is told
      }
    }
    std::ranges::sort(made_, std::greater{}, [](const auto& folder) { return folder.string().size(); });
    for (const auto& folder : made_) fs::remove(folder, ignored);  // an empty one alone
  }

 private:
  std::vector<std::pair<fs::path, std::optional<std::string>>> former_;
  std::vector<fs::path> made_;
};

void record(const Submission& submission, const std::vector<std::string>& jobs) {
  for (const auto& element : submission.elements) {
    JobRecord record{.job = element.index.empty() ? jobs.front() : jobs.front() + "_" + element.index,
                     .script = submission.scripts.front().file.string(),
                     .submitted = utc_now(),
                     .stages = {}};
    for (std::size_t i = 1; i < jobs.size(); ++i)
      record.stages.push_back({.name = submission.scripts[i].name, .job = jobs[i], .script = submission.scripts[i].file.string()});
    write_job(element.folder, record);
  }
}

// An array's indices; one empty one where there is no array.
std::vector<std::string> indices_of(const SubmitOptions& options) {
  if (options.job.array.empty()) return {""};
  const auto refuse = [](const std::string& who, const std::string& found, const std::string& expected, const std::string& remedy) {
    throw ConfigError({.who = who, .found = found, .expected = expected, .remedy = remedy});
  };
  if (!options.then.empty())
    refuse("--then", "an array (--array " + options.job.array + ")", "one run", "submit the stages by themselves, with --after");
  for (const auto& argument : options.arguments)
    if (argument.find("%a") != std::string::npos && (argument.starts_with("run.name=") || argument.starts_with("run.folder=")))
      refuse(argument, "%a", "a name for all of the array's runs, behind which each index is put", "leave %a out");
  std::vector<std::string> indices;
  for (const auto index : array_indices(options.job.array)) indices.push_back(std::to_string(index));
  return indices;
}

// The request, with what the recipe and this process add.
BatchJob job_of(const SubmitOptions& options, const RunConfig& config) {
  auto job = options.job;
  if (!job.after.empty() && !is_job_id(job.after))
    throw ConfigError(
        {.who = "--after " + job.after, .found = "no job's number", .expected = "one as sbatch gave it, such as 123", .remedy = ""});
  if (!job.array.empty() && config.run.name.empty())
    throw ConfigError(
        {.who = "run.name", .found = "empty", .expected = "a name for an array's runs, behind which each index is put", .remedy = ""});
  const auto parent = fs::absolute(config.run.folder).lexically_normal();
  job.name = config.run.name.empty() ? fresh_run_name(parent) : config.run.name;
  job.run_folder = parent / (job.array.empty() ? job.name : job.name + "-");
  job.working_folder = fs::current_path();
  job.herd = fs::read_symlink("/proc/self/exe").string();
  if (job.cpus_per_rank == 0) job.cpus_per_rank = config.model.threads;
  return job;
}

void refuse_taken(const std::vector<Submission::Element>& elements, bool ask_queue) {
  std::vector<RunFolder> folders;
  for (const auto& element : elements) folders.push_back(element.folder);
  const auto queued = ask_queue ? queue_for(folders) : std::nullopt;
  for (const auto& element : elements) {
    refuse_busy(element.folder, queued);
    refuse_used(element.folder, element.run.config.checkpoint.resume);
  }
}

}  // namespace

Submission prepare(const SubmitOptions& options) {
  const auto site = load_site(options.site);
  const auto site_name = site_file(options.site).stem().string();
  const auto indices = indices_of(options);
  const auto job = job_of(options, resolve(options.arguments, indices.front(), "").config);

  Submission submission;
  for (const auto& index : indices) {
    const auto name = index.empty() ? job.name : job.name + "-" + index;
    const auto root = job.run_folder.parent_path() / name;
    submission.elements.push_back(
        {.index = index, .folder = RunFolder(root), .fresh = !fs::exists(root), .run = resolve(options.arguments, index, name)});
    check_fit(job, site, submission.elements.back().run.config);
  }
  refuse_taken(submission.elements, !options.dry_run);

  const auto& first = submission.elements.front();
  const auto add = [&](const std::string& name, const std::string& text) {
    submission.scripts.push_back({.name = name, .file = first.folder.root() / (name + ".sbatch"), .text = text});
  };
  add("train", train_script(job, site, site_name));
  const TrainedRun trained{
      .folder = first.folder.root(), .base = first.run.config.model.path, .adapter = makes_adapter(first.run.config.peft)};
  for (const auto& stage : stages_of(options.then, trained)) add(stage.name, stage_script(job, stage, site, site_name));
  return submission;
}

std::vector<std::string> submit(const Submission& submission) {
  require_slurm();
  Kept kept;
  std::vector<std::string> jobs;
  try {
    for (const auto& element : submission.elements) {
      if (element.fresh) kept.claim(element.folder.root());
      kept.write(element.folder.submitted(), to_yaml(element.run.tree, true));
      for (const auto& left : {element.folder.stop(), element.folder.root() / "requeued-in-vain"}) fs::remove(left);
    }
    for (const auto& script : submission.scripts) {
      kept.write(script.file, script.text);
      jobs.push_back(submit_script(script.file, jobs.empty() ? "" : jobs.back()));
    }
    record(submission, jobs);
  } catch (...) {
    for (const auto& job : jobs) {
      try {
        cancel_job(job);
      } catch (const IoError& error) {
        log_warning("job {} stays queued: {}", job, error.what());
      }
    }
    kept.undo();
    throw;
  }
  return jobs;
}

}  // namespace herd
