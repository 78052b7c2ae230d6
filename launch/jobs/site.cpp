#include "launch/jobs/site.h"

#include <algorithm>
#include <cstdlib>

#include "launch/jobs/slurm_words.h"
#include "runtime/base/text.h"

namespace herd {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> known_sites() {
  std::vector<std::string> names;
  std::error_code missing;
  for (const auto& entry : fs::directory_iterator(cluster_folder() / "sites", missing))
    if (entry.path().extension() == ".yaml") names.push_back(entry.path().stem().string());
  std::sort(names.begin(), names.end());
  return names;
}

bool is_variable(const std::string& name) {
  const auto fits = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; };
  return !name.empty() && !std::isdigit(static_cast<unsigned char>(name[0])) && std::all_of(name.begin(), name.end(), fits);
}

}  // namespace

void describe(Schema& s, SiteOptions& o) {
  using Launcher = SiteOptions::Launcher;
  using GpuRequest = SiteOptions::GpuRequest;
  s.choice("launcher", o.launcher, {{"mpirun", Launcher::kMpirun}, {"srun", Launcher::kSrun}}, "what starts the ranks inside the job");
  s.field("mpirun_options", o.mpirun_options, "its options, a word an item: binding, network");
  s.field("srun_options", o.srun_options, "the same where srun starts the ranks");
  s.field("modules", o.modules, "environment modules to load, in order");
  s.field("environment", o.environment, "variables to export, as they stand");
  s.field("setup", o.setup, "lines of bash before the run, as they stand");
  s.field("container", o.container, "words before herd, an item each: apptainer, exec, --nv, herd.sif");
  s.field("herd", o.herd, "the program on the nodes; empty: the file that submits");
  s.choice("gpu_request", o.gpu_request, {{"gpus-per-node", GpuRequest::kGpusPerNode}, {"gres", GpuRequest::kGres}},
           "how sbatch is asked for GPUs");
  s.field("partition", o.partition, "where --partition is not given");
  s.field("account", o.account, "where --account is not given");
  s.field("time", o.time, "where --time is not given");
  s.field("directives", o.directives, "further options of sbatch, one an item: --exclusive, --constraint=ib");
  s.field("signal_s", o.signal_s, "seconds before the end of the time at which a run is told to save; a save must fit in").range(10, 65535);
}

void SiteOptions::validate() const {
  for (const auto& [name, value] : environment)
    if (!is_variable(name)) throw InvalidSetting("environment", "'" + name + "'", "names of variables: letters, digits and _");
  for (const auto& directive : directives)
    if (!directive.starts_with("-")) throw InvalidSetting("directives", "'" + directive + "'", "options of sbatch, such as --exclusive");
  if (!time.empty() && !slurm_time_s(time)) throw InvalidSetting("time", "'" + time + "'", kSlurmTimes);
}

fs::path cluster_folder() { return HERD_CLUSTER_DIR; }

fs::path site_file(const std::string& site) {
  const auto* named = std::getenv("HERD_SITE");
  const std::string wanted = !site.empty() ? site : named && *named ? named : "default";
  if (fs::is_regular_file(wanted)) return wanted;
  if (const auto known = cluster_folder() / "sites" / (wanted + ".yaml");
      wanted.find('/') == std::string::npos && fs::is_regular_file(known))
    return known;
  const auto names = known_sites();
  const auto close = nearest(wanted, names);
  throw ConfigError({.who = "--site " + wanted,
                     .found = "no such file, and no such name",
                     .expected = "a YAML file, or one of " + join(names) + " in " + (cluster_folder() / "sites").string(),
                     .remedy = close.empty() ? "" : "did you mean '" + close + "'?"});
}

SiteOptions load_site(const std::string& site) {
  SiteOptions options;
  load_config(options, {.file = site_file(site), .overrides = {}});
  return options;
}

}  // namespace herd
