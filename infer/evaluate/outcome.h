#pragma once
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "infer/evaluate/items.h"

namespace herd {

/// What became of a record: a line of answers.jsonl. All that results are made of.
struct Outcome {
  std::string name, category, question, options, reference;
  std::string asked;                    ///< the prompt as text; of what the model wrote alone
  std::string answer;                   ///< what it wrote, or the choice that it finds most probable
  std::string chosen, right;            ///< what F1 is of: letters, or a word, of the answer and of the reference; of a choice its number. None: `right` is empty
  std::vector<double> log_likelihoods;  ///< of the choices
  std::map<std::string, double> scores; ///< by metric; or, of texts, what perplexities are made of

  std::string line() const;  ///< JSON
  /// @throws DataError naming `place`.
  static Outcome of_line(std::string_view line, const std::string& place);
  bool operator==(const Outcome&) const = default;
};

Outcome outcome_of(const EvaluationItem& item);

/// Which choice is right by each measure of lm-evaluation-harness (0.4.13, process_results; of equal ones the first): `acc` Σ log p, `acc_norm` divided by the
/// choice's characters, `acc_bytes` by its bytes in UTF-8 (both without the delimiter), `acc_mutual_info` less Σ log p of the choice behind nothing.
/// @param alone the last of these; empty: that measure is left out.
void mark_choice(Outcome& outcome, const EvaluationItem& item, std::vector<double> log_likelihoods, const std::vector<double>& alone);

/// What is read from what the model wrote (docs/metrics.md): `acc` of letters, numbers and words; of text `exact_match` and `rouge_l`, where there is a reference.
/// @throws DataError naming the record where its reference cannot be read.
void mark_answer(Outcome& outcome, const EvaluationTask& task, const EvaluationItem& item, std::string answer);

/// What mark_answer() would refuse, before there is an answer to lose. @throws DataError as it does.
void check_reference(const EvaluationTask& task, const EvaluationItem& item);

}  // namespace herd
