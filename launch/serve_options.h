#pragma once
#include <string>

#include "infer/engine.h"
#include "infer/server/server_options.h"
#include "launch/sampling_arguments.h"
#include "launch/speaker_options.h"

namespace herd {

/// The command line of `herd serve`.
struct ServeOptions {
  SpeakerOptions speaker;
  SamplingArguments sampling;  // of the seeds' routes
  EngineOptions engine{.kept_texts = 8};
  ServerOptions server;
  std::string name;  // of the base; empty: its folder's, or its hub id

  /// Takes HERD_API_KEY where --api-key is not given. @throws ConfigError.
  void validate();
};

void declare(CLI::App& app, ServeOptions& options);

}  // namespace herd
