#pragma once
#include <string>
#include <vector>

#include "data/readers/reader.h"
#include "infer/engine.h"
#include "launch/sampling_arguments.h"
#include "launch/speaker_options.h"

namespace herd {

/// The command line of `herd predict`.
struct PredictOptions {
  SpeakerOptions speaker;
  SamplingArguments sampling;
  EngineOptions engine;
  std::string use;                   // the adapter that answers; empty: the one without a name, or none
  std::vector<std::string> inputs;   // files, patterns, folders
  std::vector<std::string> columns;  // as they stand there, NAME=FIELD; understood by validate()
  std::string output;
  ReadOptions reading;
  bool raw = false;
  bool shared = false;              // the ranks hold the weights in parts

  /// @throws ConfigError.
  void validate();
};

void declare(CLI::App& app, PredictOptions& options);

}  // namespace herd
