#pragma once
#include <string>
#include <vector>

#include "data/readers/reader.h"
#include "infer/answer_parts.h"
#include "infer/engine.h"
#include "launch/sampling_arguments.h"
#include "launch/speaker_options.h"

namespace herd {

/// The command line of `herd predict`.
struct PredictOptions {
  SpeakerOptions speaker;
  SamplingArguments sampling;
  EngineOptions engine;
  std::string use;                  // the adapter that answers; empty: the one without a name, or none
  std::vector<std::string> inputs;  // files, patterns, folders
  std::vector<std::string> columns; // as they stand there, NAME=FIELD; understood by validate()
  std::string output;
  ReadOptions reading;
  bool raw = false;

  /// @throws ConfigError.
  void validate();
};

void declare(CLI::App& app, PredictOptions& options);

/// What decides the text of an answer and is no file: each of the app's options as it was given, or its default.
AnswerSettings given_settings(const CLI::App& app);

}  // namespace herd
