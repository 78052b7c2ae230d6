#include "sweep/sweep_options.h"

#include <algorithm>

#include "runtime/base/config_files.h"

namespace herd::sweep {
namespace {

// The schema speaks of `herd config`, which knows a run's keys alone.
ConfigError of_sweep(const ConfigError& error, const std::string& file) {
  constexpr std::string_view kConfig = "herd config --explain", kSweep = "herd sweep --explain";
  auto complaint = error.complaint();
  if (complaint.who == Origin{}.source) complaint.who = file;  // what is missing stands nowhere
  if (const auto at = complaint.remedy.find(kConfig); at != std::string::npos) complaint.remedy.replace(at, kConfig.size(), kSweep);
  return ConfigError(std::move(complaint));
}

}  // namespace

const ConfigNode* read_value(const ConfigNode& node, Raw& value, const Field&) {
  value.node = node;
  return node.is_scalar() ? &node : nullptr;
}

ConfigNode write_value(const Raw& value) { return value.node; }

void describe(Schema& s, AshaOptions& o) {
  s.field("least", o.least, "optimizer steps of the first rung, which every point runs").at_least(0);
  s.field("most", o.most, "optimizer steps of the last rung: the length of a whole run, by which every point's schedule goes").at_least(0);
  s.field("factor", o.factor, "one point in so many goes on to the next rung, of so many times as many steps").at_least(2);
}

void AshaOptions::validate() const {
  if (least < 1) throw InvalidSetting("least", std::to_string(least), "at least 1 step");
  if (most <= least) throw InvalidSetting("most", std::to_string(most), "more steps than asha.least, " + std::to_string(least));
}

std::vector<std::int64_t> AshaOptions::rungs() const {
  std::vector<std::int64_t> rungs;
  for (auto steps = least; steps < most; steps *= factor) {
    rungs.push_back(steps);
    if (steps > most / factor) break;  // the next would be more, or no number
  }
  rungs.push_back(most);
  return rungs;
}

void describe(Schema& s, JobOptions& o) {
  s.field("ranks", o.ranks, "ranks of each point").range(1, 1 << 16);
  s.field("slots", o.slots, "points that run side by side on this machine; its cores are shared out among them").range(1, 1024);
  s.field("launcher", o.launcher, "what starts the ranks of a point, where they are several: its words, which '-n RANKS herd train …' follows");
}

void JobOptions::validate() const {
  if (ranks > 1 && launcher.find_first_not_of(' ') == std::string::npos)
    throw InvalidSetting("launcher", "empty", "a program where run.ranks is " + std::to_string(ranks), "launcher: mpirun --bind-to none");
}

void describe(Schema& s, BudgetOptions& o) {
  s.field("points", o.points, "most points that are begun, over all starts of the sweep; 0: all").at_least(0);
  s.field("hours", o.hours, "hours of this command after which no point is begun; those that run then end in peace; 0: no limit").at_least(0);
}

void describe(Schema& s, SweepOptions& o) {
  s.field("recipe", o.recipe, "what every point begins with: a recipe beside this file, or one in configs/");
  s.field("set", o.set, "keys of the recipe with their values, for every point: {train.epochs: 1}");
  s.choice("method", o.method, {{"grid", Method::kGrid}, {"random", Method::kRandom}, {"latin", Method::kLatin}, {"asha", Method::kAsha}},
           "grid: all combinations; random: independent draws; latin: draws that fill every stratum of each parameter; asha: draws of which the better go on");
  s.field("parameters", o.parameters,
          "keys of the recipe, each with a list of values, or {low, high, scale: linear|log, int, count}, or {values, when: {KEY: VALUE or list}}");
  s.field("paired", o.paired, "a list of mappings of keys to lists of one length, whose items are taken together");
  s.field("points", o.points, "draws of random, latin and asha").range(0, 100000);
  s.field("seed", o.seed, "seed of the draws");
  s.field("repeats", o.repeats, "runs of each point, with other seeds").range(1, 1000);
  s.field("seed_keys", o.seed_keys, "keys of the recipe to which repeats add 0, 1, 2, …");
  s.field("metric", o.metric, "by which points are judged: a name in metrics.jsonl");
  s.choice("goal", o.goal, {{"min", Goal::kMin}, {"max", Goal::kMax}}, "whether a small or a great one is good");
  s.choice("value", o.value, {{"best", Which::kBest}, {"last", Which::kLast}}, "which of a run's values counts");
  s.optional_section("asha", o.asha, "rungs of method asha");
  s.section("run", o.run, "how points are run");
  s.section("budget", o.budget, "when no more points are begun");
  s.field("slurm", o.slurm, "options of sbatch for the array, such as --time=2:00:00");
  s.field("folder", o.folder, "folder of the sweep, from the working folder; empty: runs/sweeps and the file's name");
}

void SweepOptions::validate() const {
  if (recipe.empty()) throw InvalidSetting("recipe", "empty", "a recipe");
  if (metric.empty()) throw InvalidSetting("metric", "empty", "a name in metrics.jsonl");
  if (method == Method::kGrid && points > 0)
    throw InvalidSetting("points", std::to_string(points), "none where method is grid, which takes all combinations", "budget.points ends it sooner");
  if (method != Method::kGrid && points == 0) throw InvalidSetting("points", "0", "a number of draws where method is not grid", "points: 20");
  if ((method == Method::kAsha) != asha.has_value())
    throw InvalidSetting("asha", asha ? "given" : "null", asha ? "null where method is not asha" : "a section where method is asha",
                         "asha: {least: 100, most: 800, factor: 2}");
  if (method == Method::kAsha && repeats > 1)
    throw InvalidSetting("repeats", std::to_string(repeats), "1 where method is asha, which promotes single runs");
  if (repeats > 1 && seed_keys.empty()) throw InvalidSetting("seed_keys", "[]", "a key where there are repeats", "seed_keys: [train.seed]");
}

Origin SweepFile::origin(std::string_view key) const {
  const auto* node = tree.at_path(key);
  return node && node->origin.source != Origin{}.source ? node->origin : Origin{.source = file.string()};
}

SweepFile read_sweep(const std::filesystem::path& file, const std::vector<std::string>& overrides) {
  try {
    SweepFile sweep{.file = file, .options = {}, .tree = {}};
    sweep.tree = load_config(sweep.options, {.file = file, .overrides = overrides});
    if (sweep.options.folder.empty()) sweep.options.folder = ("runs/sweeps" / file.stem()).string();
    return sweep;
  } catch (const ConfigError& error) {
    throw of_sweep(error, file.string());
  }
}

std::string explain_sweep(const std::string& key) {
  SweepOptions defaults;
  Schema schema;
  describe(schema, defaults);
  try {
    return schema.explain(key);
  } catch (const ConfigError& error) {
    throw of_sweep(error, "");
  }
}

}  // namespace herd::sweep
