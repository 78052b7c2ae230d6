#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/config.h"

namespace herd::sweep {

/// How points are chosen: all combinations; independent draws; a Latin hypercube (McKay et al. 1979); independent draws of which the better go
/// on (ASHA, Li et al. 2020).
enum class Method { kGrid, kRandom, kLatin, kAsha };
/// Whether a metric is to be small or great.
enum class Goal { kMin, kMax };
/// Which of a run's values of the metric counts.
enum class Which { kBest, kLast };

/// A part of the sweep's file as it stands there, with its places.
struct Raw {
  ConfigNode node;
};
const ConfigNode* read_value(const ConfigNode& node, Raw& value, const Field& field);
ConfigNode write_value(const Raw& value);

/// Rungs of successive halving: `least` optimizer steps, `factor` times as many, and so on, the last one `most`.
struct AshaOptions {
  std::int64_t least = 0, most = 0, factor = 3;

  void validate() const;
  std::vector<std::int64_t> rungs() const;
};

/// How one point is run, and how many beside each other.
struct JobOptions {
  std::int64_t ranks = 1, slots = 1;
  std::string launcher = "mpirun --bind-to none";  ///< its words; `-n RANKS` follows. Not used for one rank

  void validate() const;
};

struct BudgetOptions {
  std::int64_t points = 0;  ///< 0: all
  double hours = 0;         ///< of this command; 0: no end

  void validate() const {}
};

/// What a sweep's file says.
struct SweepOptions {
  std::string recipe;  ///< beside the sweep's file, or in a folder of configs
  Raw set;             ///< a mapping of keys to values, for every point
  Method method = Method::kGrid;
  Raw parameters, paired;
  std::int64_t points = 0;  ///< of random, latin, asha
  std::uint64_t seed = 0;   ///< of the draws
  std::int64_t repeats = 1;
  std::vector<std::string> seed_keys{"model.seed", "data.seed", "train.seed"};
  std::string metric = "held_out_loss";
  Goal goal = Goal::kMin;
  Which value = Which::kBest;
  std::optional<AshaOptions> asha;
  JobOptions run;
  BudgetOptions budget;
  std::vector<std::string> slurm;  ///< options of sbatch
  std::string folder;              ///< from the working folder

  void validate() const;
};

void describe(Schema& s, AshaOptions& o);
void describe(Schema& s, JobOptions& o);
void describe(Schema& s, BudgetOptions& o);
void describe(Schema& s, SweepOptions& o);

/// A sweep's file, read and checked.
struct SweepFile {
  std::filesystem::path file;
  SweepOptions options;
  ConfigNode tree;  ///< all of it, each value with its place

  /// Where `key` of the sweep stands: `sweep.yaml:3:1`; the file alone where it is not said.
  Origin origin(std::string_view key) const;
};

/// @param overrides `key=value` for the sweep's own keys. @throws ConfigError with the place of what does not fit.
SweepFile read_sweep(const std::filesystem::path& file, const std::vector<std::string>& overrides);

/// What `herd sweep --explain KEY` says.
std::string explain_sweep(const std::string& key);

}  // namespace herd::sweep

namespace herd {
template <>
struct ValueName<sweep::Raw> {
  static std::string get() { return "a mapping or a list, as docs/sweep.md has it"; }
};
}  // namespace herd
