#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "data/record.h"
#include "infer/instruct/near.h"
#include "infer/instruct/screening.h"

namespace herd {

struct CullRequest {
  /// Which of records that ask nearly the same stays.
  enum class Keep { kFirst, kLongest };  ///< kLongest: the one of the most characters that is answered; the first of several

  std::vector<std::string> files;
  std::filesystem::path output, dropped;  ///< dropped: may be empty
  NearBound near;
  LengthBounds bounds{.shortest_instruction = 1};
  Keep keep = Keep::kFirst;
  std::size_t examples = 5;  ///< near pairs to tell of
  int threads = 0;
};

/// A record that went because it asks nearly what another asks.
struct CulledPair {
  Source gone, stayed;
  double score = 0;  ///< of ROUGE-L or BM25
  std::string gone_question, stayed_question;
};

struct CullReport {
  std::vector<std::string> files;
  std::int64_t read = 0, kept = 0;
  RejectionCounts dropped;
  std::vector<CulledPair> pairs;  ///< the first
};

/// Thins records: those whose answer refuses, that lack a question or an answer or are too short or long go, and of those that ask nearly
/// the same one stays. What is compared is the first question, with its input. Writes the rest as JSON lines in their order, and to
/// `dropped` the others, each with a field `dropped` that says why. Files are read twice; memory keeps the questions and their index. Each
/// file written appears whole or not at all. A record that cannot be read counts as malformed and is in neither file.
/// @throws what RecordReader throws; DataError where an output is one of the files; ConfigError for bounds out of range; IoError
CullReport cull(const CullRequest& request);

}  // namespace herd
