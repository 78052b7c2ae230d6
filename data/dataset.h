#pragma once
#include <string>
#include <utility>
#include <vector>

#include "data/data_options.h"
#include "data/examples.h"
#include "data/formatter.h"
#include "data/load_listener.h"
#include "data/mix.h"
#include "data/sampler.h"
#include "data/tokenizer/tokenizer.h"

namespace herd {

/// Everything a run learns from and is measured on, and the fingerprints by which it is known again.
struct Dataset {
  std::vector<std::string> files;
  std::vector<std::string> file_fingerprints;  ///< of their contents, in the same order
  std::vector<SetReport> sets;
  Examples train, held_out;
  FormatReport train_report, held_out_report;
  TokenId pad_token = 0;                  ///< the tokenizer's, else its end of sequence
  std::string template_name, template_fingerprint, tokenizer_fingerprint;
  std::string template_text;              ///< its file, where it is the user's own
  /// Hash of all files and of every option that decides examples or their order: the same, the same run of batches.
  std::string fingerprint;
  bool streamed = false;                  ///< `train` is empty: StreamedBatches reads it
  std::string cached;                     ///< the folder that it was read from; empty: made just now

  /// A line for the training records, one for those held out where there are any, and what was left out, by set.
  std::vector<std::string> summary() const;
};

/// Reads the records of `options.sets`, keeps the held-out ones back, and turns both into examples; or maps what an earlier run with the same files, template,
/// tokenizer and options left in the cache. Of several processes that want the same, one makes it and the others wait.
/// The caller checks options.max_tokens against the model's context, and vocab_size against the model's.
/// @throws what resolve_sets, Mix, Formatter and `listener` throw; DataError where no example is left to learn from.
Dataset load_dataset(const DataOptions& options, const Tokenizer& tokenizer, const LoadListener& listener = {});

}  // namespace herd
