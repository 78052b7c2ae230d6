#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "infer/evaluate/continuation.h"
#include "infer/evaluate/items.h"
#include "infer/evaluate/outcome.h"
#include "launch/evaluate_options.h"
#include "launch/speaker.h"
#include "parallel/comm/communicator.h"

namespace herd {

/// Tasks by log-likelihood: texts and choices. Whole batches are dealt out, made up of all items alike: the numbers are the same, bit for bit, on any number of
/// ranks (of one number of threads).
class Likelihoods {
 public:
  /// @param speaker with its weights; outlives this, as do the others. @throws ConfigError
  Likelihoods(Speaker& speaker, const EvaluationTask& task, std::optional<std::size_t> adapter, const EvaluateOptions& options);

  /// Puts into tokens what an item asks for. @return what is wrong where the context has no room for it: nothing of it is asked for then.
  /// @throws DataError naming the item for what else cannot be asked for.
  std::optional<DataError> take(const EvaluationItem& item);
  /// @param items those taken, in their order. Every rank calls it and has them.
  std::vector<Outcome> outcomes(std::span<const EvaluationItem> items, Communicator& communicator);

 private:
  std::vector<Continuation> windows_of(const EvaluationItem& item) const;
  std::vector<Continuation> choices_of(const EvaluationItem& item) const;
  std::vector<double> measure(Communicator& communicator) const;

  Speaker& speaker_;
  const EvaluationTask& task_;
  std::optional<std::size_t> adapter_;
  const EvaluateOptions& options_;
  std::int64_t context_ = 0, window_ = 0;  ///< tokens
  bool alone_ = false;                     ///< behind an item's choices come the same behind nothing
  std::vector<Continuation> texts_;
  std::vector<std::size_t> ends_;  ///< of each item's texts
};

}  // namespace herd
