#pragma once
#include <optional>
#include <string>
#include <vector>

#include "infer/engine.h"
#include "infer/prompt_file.h"
#include "launch/sampling_arguments.h"
#include "launch/speaker_options.h"

namespace herd {

/// The command line of `herd generate`.
struct GenerateOptions {
  SpeakerOptions speaker;
  SamplingArguments sampling;
  EngineOptions engine;
  std::string use;  // the adapter of prompts that name none; empty: none
  std::optional<std::string> prompt, instruction;
  std::string input, file, output;
  bool raw = false;

  /// @throws ConfigError.
  void validate();
};

void declare(CLI::App& app, GenerateOptions& options);

/// Which adapter answers each question: what its record says, else `use`, else an adapter without a name; none: the base.
/// @throws DataError with the record's place, or ConfigError for --use, where there is none of that name: with those there are, and the nearest.
std::vector<std::optional<std::size_t>> chosen_adapters(const std::vector<Question>& questions, const GenerateOptions& options);

}  // namespace herd
