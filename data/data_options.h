#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "runtime/base/config.h"

namespace herd {

/// Which tokens are learnt: the response (and the end of sequence after it), or everything but the first token.
enum class TrainOn { kResponse, kAll };
/// What becomes of a record with more than max_tokens tokens.
enum class Overlong { kTruncate, kSkip, kError };
/// What becomes of a record in which no token is left to learn.
enum class Unsupervised { kError, kSkip };

/// The `data` section of a run: which records, how they read as text, how they become rows.
struct DataOptions {
  std::vector<std::string> sets;                        ///< files of records (data/readers/reader.h), read in this order; in a recipe also hub:org/name/FILE
  std::string template_name = "alpaca";                 ///< a name in templates() (data/template.h)
  std::int64_t max_tokens = 512;                        ///< longest row; the caller checks it against the model's context
  TrainOn train_on = TrainOn::kResponse;
  bool packing = false;                                 ///< several records a row, without attention across them
  double held_out = 0;                                  ///< below 1 a fraction of the records, from 1 on their number
  Overlong overlong = Overlong::kTruncate;
  Unsupervised unsupervised = Unsupervised::kError;
  std::uint64_t seed = 0;                               ///< of the sample order and of the split
  int threads = 0;                                      ///< for tokenising; 0 takes one a core

  void validate() const;
  bool operator==(const DataOptions&) const = default;
};

void describe(Schema& s, DataOptions& o);

}  // namespace herd
