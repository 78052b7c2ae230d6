#include "launch/jobs/batch_script.h"

#include "launch/jobs/shell.h"
#include "runtime/base/error.h"
#include "runtime/base/file.h"
#include "runtime/base/text.h"

namespace herd {
namespace {

std::string first_of(const std::string& own, const std::string& sites) { return own.empty() ? sites : own; }

// What sbatch replaces in a file's name begins with %. Where a backslash stands in one it replaces nothing and takes backslashes out.
std::string pattern_of(const std::string& path) {
  if (path.find('\\') != std::string::npos)
    throw ConfigError({.who = "run folder " + path,
                       .found = "a backslash",
                       .expected = "none, as sbatch has no way to write it",
                       .remedy = "another run.name or run.folder"});
  std::string out;
  for (const char c : path) c == '%' ? out += "%%" : out += c;
  return out;
}

class Directives {
 public:
  void add(const std::string& option, const std::string& value) {
    if (!value.empty()) lines_.push_back("#SBATCH --" + option + "=" + directive_value(value));
  }
  void add_count(const std::string& option, std::int64_t count) {
    if (count > 0) add(option, std::to_string(count));
  }
  void add_line(const std::string& words) { lines_.push_back("#SBATCH " + words); }
  std::string text() const { return join(lines_, "\n"); }

 private:
  std::vector<std::string> lines_;
};

void add_gpus(Directives& directives, std::int64_t gpus, const SiteOptions& site) {
  if (gpus == 0) return;
  if (site.gpu_request == SiteOptions::GpuRequest::kGres) directives.add("gres", "gpu:" + std::to_string(gpus));
  else directives.add_count("gpus-per-node", gpus);
}

void add_common(Directives& directives, const BatchJob& job, const SiteOptions& site) {
  directives.add_count("cpus-per-task", job.cpus_per_rank);
  directives.add("time", first_of(job.time, site.time));
  directives.add("partition", first_of(job.partition, site.partition));
  directives.add("account", first_of(job.account, site.account));
  directives.add("open-mode", "append");
}

std::string setup_of(const SiteOptions& site) {
  std::vector<std::string> lines;
  for (const auto& module : site.modules) lines.push_back("module load " + shell_word(module));
  for (const auto& [name, value] : site.environment) lines.push_back("export " + name + "=" + shell_word(value));
  // srun takes no notice of the job's own since SLURM 22.05.
  if (site.launcher == SiteOptions::Launcher::kSrun) lines.push_back("export SRUN_CPUS_PER_TASK=${SLURM_CPUS_PER_TASK:-1}");
  lines.insert(lines.end(), site.setup.begin(), site.setup.end());
  return lines.empty() ? "" : "# The site's own.\n" + join(lines, "\n");
}

std::vector<std::string> launcher_words(const SiteOptions& site, std::int64_t ranks) {
  std::vector<std::string> words{site.launcher == SiteOptions::Launcher::kMpirun ? "mpirun" : "srun", "-n", std::to_string(ranks)};
  words.insert(words.end(), site.launcher_options().begin(), site.launcher_options().end());
  return words;
}

std::vector<std::string> herd_words(const BatchJob& job, const SiteOptions& site) {
  auto words = site.container;
  words.push_back(first_of(site.herd, job.herd));
  return words;
}

std::string title_of(const std::string& name) {
  std::string title;
  for (const char c : name) title += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
  return title;
}

std::string read_template(const char* name) { return read_file(cluster_folder() / "templates" / name); }

}  // namespace

std::string train_script(const BatchJob& job, const SiteOptions& options, const std::string& site) {
  const bool array = !job.array.empty();
  Directives directives;
  directives.add("job-name", job.name);
  directives.add_count("nodes", job.nodes);
  directives.add_count("ntasks-per-node", job.ranks_per_node);
  add_gpus(directives, job.gpus_per_node, options);
  add_common(directives, job, options);
  directives.add("array", job.array);
  if (!job.after.empty()) {
    directives.add("dependency", "afterok:" + job.after);
    directives.add("kill-on-invalid-dep", "yes");
  }
  directives.add("output", pattern_of(job.run_folder.string()) + (array ? "%a/slurm-%A_%a.log" : "/slurm-%j.log"));
  directives.add("signal", "B:USR1@" + std::to_string(options.signal_s));
  directives.add_line("--requeue");
  for (const auto& line : options.directives) directives.add_line(line);
  return fill_places(read_template("train.sbatch"),
                     {{"title", title_of(job.name) + ": " + plural(job.ranks(), "rank") + " on " + plural(job.nodes, "node")},
                      {"site", title_of(site)},
                      {"directives", directives.text()},
                      {"setup", setup_of(options)},
                      {"working_folder", shell_word(job.working_folder.string())},
                      {"run_folder", shell_word(job.run_folder.string()) + (array ? "$SLURM_ARRAY_TASK_ID" : "")},
                      {"launch", shell_words(launcher_words(options, job.ranks()))},
                      {"herd", shell_words(herd_words(job, options))},
                      {"job_id", array ? "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID" : "$SLURM_JOB_ID"}});
}

std::string stage_script(const BatchJob& job, const Stage& stage, const SiteOptions& options, const std::string& site) {
  Directives directives;
  directives.add("job-name", job.name + "-" + stage.name);
  directives.add_count("nodes", 1);
  directives.add_count("ntasks-per-node", stage.on_ranks ? job.ranks_per_node : 1);
  add_gpus(directives, job.gpus_per_node, options);
  add_common(directives, job, options);
  directives.add("output", pattern_of(job.run_folder.string()) + "/slurm-" + pattern_of(stage.name) + "-%j.log");
  for (const auto& line : options.directives) directives.add_line(line);
  auto words = stage.on_ranks ? launcher_words(options, job.ranks_per_node) : std::vector<std::string>{};
  for (const auto& part : {herd_words(job, options), stage.command}) words.insert(words.end(), part.begin(), part.end());
  return fill_places(read_template("stage.sbatch"), {{"title", title_of(job.name) + ": " + stage.name},
                                                     {"site", title_of(site)},
                                                     {"directives", directives.text()},
                                                     {"setup", setup_of(options)},
                                                     {"working_folder", shell_word(job.working_folder.string())},
                                                     {"command", shell_words(words)}});
}

}  // namespace herd
