#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "data/data_set.h"
#include "data/duplicates.h"
#include "data/readers/reader.h"
#include "runtime/base/config.h"

namespace herd {

/// Which tokens are learnt: the model's turns with what ends them, the last of them alone, those that the record itself marks, or everything but the
/// first token. A turn that its record marks as not to be learnt is left out of the first two.
enum class TrainOn { kResponse, kLastResponse, kRecord, kAll };
/// What records are: conversations that go through the template, or plain text to go on learning the language from.
enum class Objective { kInstructions, kText };
/// What becomes of a record with more than max_tokens tokens.
enum class Overlong { kTruncate, kSkip, kError };
/// What becomes of a record in which no token is left to learn.
enum class Unsupervised { kError, kSkip };

/// The `data` section of a run: which records, how they read as text, how they become rows.
struct DataOptions {
  std::vector<DataSet> sets;                            ///< read in this order
  std::vector<std::string> catalogue;                   ///< further lists of data sets by name (data/catalogue.h)
  std::string folder = "data";                          ///< where the files of herd's own list lie
  Broken broken = Broken::kStop;                        ///< what becomes of a record that cannot be read
  Deduplicate deduplicate = Deduplicate::kOff;
  double near = 0.8;                                    ///< likeness from which on two records are one, for kNear
  std::string template_name = "alpaca";                 ///< a name in templates(), a file of that form (data/template/template.h), or `tokenizer` (chat_template.h)
  Objective objective = Objective::kInstructions;
  std::int64_t max_tokens = 512;                        ///< longest row; the caller checks it against the model's context
  TrainOn train_on = TrainOn::kResponse;
  bool packing = false;                                 ///< several records a row, without attention across them
  bool group_by_length = false;                         ///< one a row, rows of like length in a step
  double held_out = 0;                                  ///< below 1 a fraction of the records, from 1 on their number
  Overlong overlong = Overlong::kTruncate;
  Unsupervised unsupervised = Unsupervised::kError;
  std::uint64_t seed = 0;                               ///< of the sample order
  std::uint64_t split_seed = 0;                         ///< of the split: the same for all mixtures, or held-out records leak between them
  bool streaming = false;                               ///< read while training, a window at a time: for data larger than the disk
  std::string cache;                                    ///< folder of tokenised data; empty: the user's own, for data of 16 MB and more; `off`: none
  int threads = 0;                                      ///< for tokenising; 0 takes one a core

  void validate() const;
  bool operator==(const DataOptions&) const = default;
};

void describe(Schema& s, DataOptions& o);

}  // namespace herd
