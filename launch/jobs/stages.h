#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "launch/jobs/batch_script.h"

namespace herd {

/// What the stages after a run need to know of it.
struct TrainedRun {
  std::filesystem::path folder;  ///< absolute
  std::string base;              ///< model.path; empty for a model of random weights
  bool adapter = false;          ///< it leaves an adapter, else a whole model
};

/// The stages of `--then`, each a herd command line such as `merge` or `evaluate --task gsm8k --data test.jsonl`, where `%run` stands for
/// the run's folder. What is not given: `merge` takes base and adapter from the run and writes RUN/merged; `evaluate` and `predict` take
/// the model as the stages before have left it; `evaluate` writes RUN/evaluation.
/// @throws ConfigError for a command that herd has not, that names no work for a job, or a merge where there is nothing to merge.
std::vector<Stage> stages_of(const std::vector<std::string>& lines, const TrainedRun& run);

}  // namespace herd
