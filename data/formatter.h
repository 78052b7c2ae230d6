#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/data_options.h"
#include "data/record.h"
#include "data/template/encode.h"
#include "data/template/template.h"
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
  std::int64_t truncated = 0, tokens_cut = 0;        ///< examples that lost their end, and how many tokens that was
  std::int64_t skipped_overlong = 0;                 ///< left out because longer than max_tokens
  std::int64_t skipped_unsupervised = 0;             ///< left out because no token is left to learn
  std::int64_t longest = 0;                          ///< in tokens, before any cut

  /// One or two lines for people: `999 records → 999 examples, 182,310 tokens, …`.
  std::string summary() const;
  bool operator==(const FormatReport&) const = default;
};

struct Formatted {
  std::vector<Example> examples;
  FormatReport report;
};

/// Records to examples by a template and a tokenizer, which must outlive it. Thread-safe.
class Formatter {
 public:
  /// What became of one example.
  enum class Fate { kKept, kTruncated, kOverlong, kUnsupervised };
  struct Outcome {
    Example example;
    std::int64_t full_length = 0;
    Fate fate = Fate::kKept;
  };

  /// @throws DataError for a tokenizer without an end of sequence.
  Formatter(const Tokenizer& tokenizer, const DataOptions& options);
  /// The same with a template that options do not name, such as the tokenizer's own (data/template/chat_template.h).
  Formatter(const Tokenizer& tokenizer, const DataOptions& options, std::shared_ptr<const Template> text);

  /// The record's examples, cut on the right at max_tokens: one, or one an answer where the template has answers only last.
  /// Text (Role::kText) is whole, however long. An empty turn leaves nothing to learn (its end alone does not count).
  /// @param files as in describe(). @throws DataError naming the record that options call an error.
  std::vector<Outcome> operator()(const Record& record, std::span<const std::string> files) const;

  const Template& text() const { return *template_; }

 private:
  Outcome example_of(const Record& record, std::span<const std::string> files) const;
  bool learns(const Record& record, std::int32_t turn) const;

  const Tokenizer& tokenizer_;
  DataOptions options_;
  std::shared_ptr<const Template> template_;
  PieceEncoder encode_;
};

/// Counts an outcome, and keeps its example where it is to be kept.
void take(Formatter::Outcome outcome, Formatted& out);

/// All records, in their order, by `options.threads` threads.
Formatted format_records(const Records& records, const Tokenizer& tokenizer, const DataOptions& options);

}  // namespace herd
