#pragma once
#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "data/tokenizer/tokenizer.h"
#include "infer/beam_search.h"
#include "infer/log_probs.h"
#include "infer/sampling_options.h"

namespace herd {

/// What the model is to go on from.
struct Prompt {
  std::vector<TokenId> ids;
  std::function<std::string(std::string_view)> output{};  ///< see TextStream
  std::vector<TokenId> ends{};                        ///< ids that end this answer besides the engine's
  std::vector<std::string> stop{};                    ///< text that ends it besides the options'
  std::string name{};                                 ///< for errors; empty: `prompt 3`
  std::optional<std::size_t> number{};                ///< keys its random numbers; none: its place among the engine's requests
};

/// How a text goes on.
struct GenerationOptions {
  SamplingOptions sampling;
  BeamOptions beam{};
  std::int64_t max_new_tokens = 256;
  std::vector<std::string> stop;   ///< text that ends the answer and is not part of it
  std::optional<std::int64_t> log_probs{};  ///< of each new token, and of so many of the most probable ones in its place; none: nobody asks

  void validate() const;
  bool operator==(const GenerationOptions&) const = default;
};

enum class FinishReason {
  kEos,      ///< the model ended the text
  kStop,     ///< a stop string came
  kLength,   ///< max_new_tokens
  kContext,  ///< the model's context is full
};
const char* name(FinishReason reason);

struct Generation {
  std::vector<TokenId> ids;  ///< new tokens, without the end of sequence; those of a stop string included
  std::string text;
  std::vector<LogProbs> log_probs{};  ///< one an id where they are asked for: of the model's own distribution, before what sampling does to it
  FinishReason finish = FinishReason::kLength;
  std::optional<double> score{};      ///< of a beam search: log-probability by length_penalty
  std::vector<Generation> others{};   ///< of a beam search that returns several: those after the best
};

/// A text that is wanted.
struct Request {
  Prompt prompt;
  GenerationOptions options;
  std::optional<std::size_t> adapter{};  ///< see Engine; none: the base alone
  /// What the text shows more, whenever that is something (of a beam search: at its end); several tokens may show nothing until one makes a whole character, or no stop string, of them.
  std::function<void(std::string_view text, const Generation& so_far)> on_text{};
  std::function<void(const Generation& generation)> on_done{};
  std::function<void(const std::exception& error)> on_error{};  ///< this text alone cannot go on; none: step() throws
};

}  // namespace herd
