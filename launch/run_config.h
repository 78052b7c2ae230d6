#pragma once
#include "data/data_options.h"
#include "launch/run_options.h"
#include "models/model_options.h"
#include "parallel/parallel_options.h"
#include "peft/peft_options.h"
#include "train/train_options.h"

namespace herd {

/// All that one recipe says. Each section is declared in the folder that uses it.
struct RunConfig {
  ModelOptions model;
  PeftOptions peft;
  DataOptions data;
  TrainOptions train;
  ParallelOptions parallel;
  CheckpointOptions checkpoint;
  RunOptions run;

  void validate() const;
  bool operator==(const RunConfig&) const = default;
};

void describe(Schema& s, RunConfig& o);

/// A recipe after its includes and overrides.
struct ResolvedRun {
  RunConfig config;
  ConfigNode tree;  ///< the same with the origin of every value; to_yaml(tree, true) prints it and loads back equal

  /// What training needs and a recipe may leave open: a model and data. @throws ConfigError naming the key.
  void require_trainable() const;
  /// Writes the resolved YAML in one step, each value followed by its origin. @throws IoError.
  void save(const std::filesystem::path& file) const;
};

/// @throws ConfigError with the place of what does not fit.
ResolvedRun resolve_run(const ConfigSources& sources);
/// The same of a recipe that is gathered already (gather_config).
ResolvedRun resolve_tree(const ConfigNode& tree);

}  // namespace herd
