#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "data/dataset.h"

namespace herd {

struct AuditOptions {
  std::int64_t samples = 3;
  bool color = false;  ///< mark supervised tokens by colour, as on a terminal; else by ⟦…⟧
};

/// A stretch of an example's text whose tokens are all learnt, or none of them.
struct MarkedRun {
  std::string text;
  bool learnt = false;
  bool operator==(const MarkedRun&) const = default;
};

/// The example's text, special tokens included; learnt and other runs by turns.
std::vector<MarkedRun> marked_runs(const ExampleView& example, const Tokenizer& tokenizer);

/// The same as one text, with every run of supervised tokens marked.
std::string marked_text(const ExampleView& example, const Tokenizer& tokenizer, bool color);

/// Lengths in at most `bars` equal ranges, a line each: range, bar, count.
std::string length_histogram(const Examples& examples, int bars = 16);

/// What a practitioner wants to see before training: samples in the order of the first epoch, lengths, counts, what was cut or left
/// out, the share of supervised tokens, and how full the rows are, packed and padded.
std::string audit(const Dataset& dataset, const Tokenizer& tokenizer, const DataOptions& data, const AuditOptions& options);

}  // namespace herd
