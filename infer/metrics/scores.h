#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace herd {

/// How often each answer came for each reference: counts[r][a], both in the order of `labels`, which are those of both, by their bytes.
struct Confusion {
  std::vector<std::string> labels;
  std::vector<std::vector<std::int64_t>> counts;
};

/// @throws DataError for none, or where they are not as many.
Confusion confusion(std::span<const std::string> references, std::span<const std::string> answers);

/// Of one label: right / answered so, right / meant so, and 2·right / (answered + meant). 0 where that is 0 / 0.
struct LabelScore {
  std::string label;
  double precision = 0, recall = 0, f1 = 0;
  std::int64_t support = 0;  ///< references that have it
};

struct F1Scores {
  std::vector<LabelScore> labels;
  double macro = 0;  ///< mean of the labels' F1
  double micro = 0;  ///< F1 of their counts together; over all labels it is the accuracy
};

/// As scikit-learn's precision_recall_fscore_support with zero_division = 0.
/// @param of these labels alone, such as those of the references: an answer that names no label is then wrong and no label of its own.
/// None: all of the confusion. @throws DataError for a label that is named twice.
F1Scores f1_scores(const Confusion& confusion, std::span<const std::string> of = {});

}  // namespace herd
