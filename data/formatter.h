#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/data_options.h"
#include "data/record.h"
#include "data/template.h"
#include "data/tokenizer/tokenizer.h"

namespace herd {

/// A record as tokens. `supervised[i]` says whether token i is to be learnt (predicted from those before it); never the first.
struct Example {
  std::vector<TokenId> tokens;
  std::vector<std::uint8_t> supervised;
  std::int64_t supervised_tokens = 0;
  Source source;

  std::int64_t length() const { return static_cast<std::int64_t>(tokens.size()); }
};

/// What became of the records: nothing is cut or left out without being counted here.
struct FormatReport {
  std::int64_t records = 0, examples = 0;
  std::int64_t tokens = 0, supervised_tokens = 0;    ///< of the examples
  std::int64_t truncated = 0, tokens_cut = 0;        ///< records that lost their end, and how many tokens that was
  std::int64_t skipped_overlong = 0;                 ///< left out because longer than max_tokens
  std::int64_t skipped_unsupervised = 0;             ///< left out because no token is left to learn
  std::int64_t longest = 0;                          ///< in tokens, before any cut

  /// One or two lines for people: `999 records → 999 examples, 182,310 tokens, …`.
  std::string summary() const;
};

struct Formatted {
  std::vector<Example> examples;
  FormatReport report;
};

/// Ids of the prompt as training and generation both see it.
std::vector<TokenId> encode_prompt(const Tokenizer& tokenizer, std::string_view prompt);

/// Ids of `answer` as it continues `prompt`, without special tokens. A tokenizer that begins every text with a space of its own
/// (SentencePiece) must not do so in the middle, so the prompt's last line is encoded along and taken off again.
std::vector<TokenId> encode_answer(const Tokenizer& tokenizer, std::string_view prompt, std::string_view answer);

/// Records as examples, in the records' order: prompt ids, answer ids, end of sequence; cut on the right at max_tokens.
/// An empty output leaves nothing to learn under TrainOn::kResponse (its end of sequence alone does not count).
/// @throws DataError naming the record that options call an error, or a tokenizer without an end of sequence.
Formatted format_records(const Records& records, const Tokenizer& tokenizer, const DataOptions& options);

}  // namespace herd
