#pragma once
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "infer/evaluate/items.h"
#include "infer/evaluate/outcome.h"
#include "launch/kept_answers.h"
#include "launch/speaker.h"

namespace herd {

/// Tasks by what the model writes.
class Answers {
 public:
  /// @param speaker with its weights; outlives this, as does `task`.
  Answers(Speaker& speaker, const EvaluationTask& task, std::optional<std::size_t> adapter, const EngineOptions& engine, GenerationOptions generation);

  /// Puts an item's question into tokens, once for all. @return what is wrong where the context has no room for it: it is not asked then.
  /// @throws DataError naming the item for what else cannot be asked.
  std::optional<DataError> take(const EvaluationItem& item);
  /// Writes what is not written yet. Every rank calls it, once. @return the signal that stopped it; none: all is there.
  Signal write(KeptAnswers& kept);
  /// @param items those taken, in their order. @throws IoError
  std::vector<Outcome> outcomes(std::span<const EvaluationItem> items, const KeptAnswers& kept);

 private:
  std::string asked(const EvaluationItem& item);

  Speaker& speaker_;
  const EvaluationTask& task_;
  std::optional<std::size_t> adapter_;
  EngineOptions options_;
  GenerationOptions generation_;
  std::unique_ptr<Engine> engine_;
  std::vector<Request> requests_;
  std::vector<std::int64_t> tokens_;  ///< of each
};

}  // namespace herd
