#pragma once
#include <optional>
#include <string>
#include <vector>

#include "infer/answer_parts.h"
#include "launch/speaker.h"
#include "parallel/comm/communicator.h"

namespace CLI {
class App;
}

namespace herd {

/// What decides the text of an answer and is no file: each of the app's options as it was given, or its default.
AnswerSettings given_settings(const CLI::App& app);
/// Adds `WHAT 1`, …: the files' names and contents. @throws IoError
void add_files(AnswerSettings& settings, const std::string& what, const std::vector<std::string>& files);
/// Adds model, adapter and tokenizer. After the speaker's load(). @throws IoError
void add_speaker(AnswerSettings& settings, const Speaker& speaker, std::optional<std::size_t> adapter);

/// Of what an adapter's folder keeps of it. @throws IoError
std::string adapter_fingerprint(const std::string& folder);

/// @param command that the ranks run, for the error. @throws ConfigError on all ranks where one has other settings than rank 0: which.
void check_same(const AnswerSettings& settings, const std::string& command, Communicator& communicator);

}  // namespace herd
