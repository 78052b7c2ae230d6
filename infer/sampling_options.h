#pragma once
#include <cstdint>
#include <vector>

#include "data/tokenizer/tokenizer.h"

namespace herd {

/// What is added to the score of the last of `ids` wherever the text ends with those before it; of a single id: always.
struct SequenceBias {
  std::vector<TokenId> ids{};
  double bias = 0;  ///< −infinity bans
  bool operator==(const SequenceBias&) const = default;
};

/// How the next token of a text is chosen. First what the text so far does to the scores (LogitsProcessors), then what may be drawn from
/// them (TokenSampler); each in this order, as in Hugging Face's `generate`.
struct SamplingOptions {
  std::vector<SequenceBias> logit_bias{};
  double repetition_penalty = 1;     ///< of tokens in prompt and answer: divides scores above 0, multiplies the others (Keskar et al. 2019, section 4.1)
  double frequency_penalty = 0;      ///< taken from the scores of the answer's tokens for each time that they are there (OpenAI's API)
  double presence_penalty = 0;       ///< likewise, once
  std::int64_t no_repeat_ngram = 0;  ///< no run of this many tokens comes twice in prompt and answer (Paulus et al. 2018, section 2.5); 0: any may
  std::vector<std::vector<TokenId>> bad_words{};  ///< runs of ids that never come; one that is a single end of text is left out
  std::int64_t min_new_tokens = 0;   ///< the model cannot end the text before the answer has as many

  double temperature = 0;  ///< scores are divided by it; 0: greedy, the most probable token
  std::int64_t top_k = 0;  ///< keep the k most probable tokens (Fan et al. 2018); 0: all
  double top_p = 1;        ///< then keep the fewest, the most probable first, that hold this much probability (Holtzman et al. 2020)
  double min_p = 0;        ///< then keep those at least this times as probable as the most probable one (Nguyen et al. 2024)
  double typical_p = 1;    ///< then keep the fewest that hold this much, those first whose information is nearest the entropy (Meister et al. 2023)
  std::uint64_t seed = 0;

  /// @throws ConfigError; also for what temperature 0 would leave without effect.
  void validate() const;
  bool operator==(const SamplingOptions&) const = default;
};

}  // namespace herd
