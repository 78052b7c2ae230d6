#pragma once
#include <optional>
#include <string>
#include <vector>

#include "infer/engine.h"
#include "infer/evaluate/task.h"
#include "launch/sampling_arguments.h"
#include "launch/speaker_options.h"

namespace herd {

/// The command line of `herd evaluate`.
struct EvaluateOptions {
  SpeakerOptions speaker;
  SamplingArguments sampling;
  EngineOptions engine;
  std::string use, task, output;
  std::vector<std::string> data, examples;
  std::optional<std::int64_t> shots, max_new_tokens;  // in place of the task's
  std::int64_t limit = 0, context = 0, stride = 0;
  bool skip_too_long = false;
  bool alone = true;  // choices behind nothing, for acc_mutual_info

  /// @throws ConfigError.
  void validate();
  /// The task, with what the command line says otherwise. @throws ConfigError.
  EvaluationTask asked_task() const;
};

void declare(CLI::App& app, EvaluateOptions& options);

}  // namespace herd
