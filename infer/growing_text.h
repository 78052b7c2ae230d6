#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "infer/beam_search.h"
#include "infer/logits_processors.h"
#include "infer/request.h"
#include "infer/sampler.h"
#include "infer/text_stream.h"
#include "runtime/nn/causal_lm.h"

namespace herd {

/// A request under way: from logits to tokens, what is shown of them, and why it ends. It grows as one text, or as the beams of a search.
/// Of keys and values it knows nothing.
class GrowingText {
 public:
  /// @param request its prompt has a number. @param eos ids that end any text. The tokenizer must outlive it.
  GrowingText(Request request, const Tokenizer& tokenizer, const std::vector<TokenId>& eos, const ModelFacts& facts);

  const Request& request() const { return request_; }
  bool searches() const { return request_.options.beam.beams > 1; }
  std::int64_t prompt_length() const { return std::ssize(request_.prompt.ids); }
  /// Tokens of the prompt and of what has grown.
  std::int64_t length() const { return prompt_length() + std::ssize(answer(0)); }
  /// What has grown, by beam; without a search there is one.
  const std::vector<TokenId>& answer(std::size_t beam) const { return searches() ? search_.growing()[beam].ids : generation_.ids; }
  const Generation& generation() const { return generation_; }

  /// Chooses the next token and tells on_text. @param logits are written to. @return whether another one is wanted.
  /// @throws DataError where none follows from the logits.
  bool pick(std::span<float> logits);
  /// The next token of every beam. @param logits [beams, vocab], written to. @return for each beam that grows now, which of those before it goes on from; none: over.
  std::vector<std::size_t> pick_beams(std::span<float> logits);
  /// No more tokens come: the generation is whole. @return what is to be shown last.
  std::string finish();

 private:
  TextStream new_stream() const;
  bool ends(const std::vector<TokenId>& answer) const;
  Generation generation_of(const BeamSearch::Beam& beam) const;

  Request request_;
  const Tokenizer& tokenizer_;
  std::int64_t vocab_size_, max_positions_;
  std::vector<TokenId> ends_;
  LogitsProcessors processors_;
  TokenSampler sampler_;
  TextStream stream_;
  BeamSearch search_;
  Generation generation_{};
};

}  // namespace herd
