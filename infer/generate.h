#pragma once
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/tokenizer/tokenizer.h"
#include "infer/sampler.h"
#include "runtime/nn/causal_lm.h"

namespace herd {

struct GenerationOptions {
  SamplingOptions sampling;
  std::int64_t max_new_tokens = 256;
  std::vector<std::string> stop;   ///< text that ends the answer and is not part of it
  std::int64_t batch_size = 8;     ///< prompts that are answered side by side

  void validate() const;
  bool operator==(const GenerationOptions&) const = default;
};

/// What the model is to go on from.
struct Prompt {
  std::vector<TokenId> ids;
  std::function<std::string(std::string_view)> output{};  ///< see TextStream
  std::vector<TokenId> ends{};                        ///< ids that end this answer besides the generator's
  std::vector<std::string> stop{};                    ///< text that ends it besides the options'
  std::string name{};                                 ///< for errors; empty: `prompt 3`
  std::optional<std::size_t> number{};                ///< keys its random numbers, and is what listeners are told; none: its place
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
  FinishReason finish = FinishReason::kLength;
};

/// Told while texts grow, prompt by number. Those of a batch grow at once and end in any order.
struct GenerationListener {
  std::function<void(std::size_t prompt, std::string_view text)> on_text;
  std::function<void(std::size_t prompt, const Generation& generation)> on_done;
};

/// Answers prompts with a causal language model. Each prompt is run once through the model, then token by token over cached keys and
/// values, several texts side by side; one that ends gives its place to the next prompt.
/// Text i (Prompt::number) draws its random numbers by (seed, i, position): the same text whatever is generated beside it, up to the rounding of
/// matrix products of another height.
class Generator {
 public:
  /// @param eos ids that end a text. Model and tokenizer must outlive the generator.
  Generator(CausalLm& model, const Tokenizer& tokenizer, std::vector<TokenId> eos, GenerationOptions options);

  /// @return a generation a prompt, in the prompts' order.
  /// @throws DataError naming a prompt that is empty, fills the context, or holds ids that the model lacks; before anything is generated.
  std::vector<Generation> run(std::span<const Prompt> prompts, const GenerationListener& listener = {});
  /// What run() refuses, beforehand.
  void check(std::span<const Prompt> prompts) const;

 private:
  CausalLm& model_;
  const Tokenizer& tokenizer_;
  std::vector<TokenId> eos_;
  GenerationOptions options_;
};

}  // namespace herd
