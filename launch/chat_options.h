#pragma once
#include <string>

#include "launch/sampling_arguments.h"
#include "launch/speaker_options.h"

namespace herd {

/// The command line of `herd chat`.
struct ChatOptions {
  SpeakerOptions speaker;
  SamplingArguments sampling{.generation = {.sampling = {.temperature = 0.7}, .max_new_tokens = 512}};  // as FastChat's
  std::string use;          // the adapter that answers; empty: the one without a name, or none
  std::string system;       // empty: the template's own
  std::string load;         // a conversation to go on with; empty: none
  bool no_history = false;  // each question alone

  /// @throws ConfigError.
  void validate();
};

void declare(CLI::App& app, ChatOptions& options);

/// What `/params` shows: each setting and its value.
std::vector<std::pair<std::string, std::string>> settings_of(const SamplingArguments& arguments);
/// Changes settings as `key=value` of the command line's options. @throws ConfigError, also with the nearest key; nothing has changed then.
void change_settings(SamplingArguments& arguments, const std::vector<std::string>& changes);

}  // namespace herd
