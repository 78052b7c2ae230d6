#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "data/duplicates.h"
#include "infer/metrics/bm25.h"
#include "infer/metrics/rouge_index.h"

namespace herd {

/// By what two instructions count as nearly the same, and from above which bound.
struct NearBound {
  enum class By {
    kRouge,   ///< ROUGE-L: Self-Instruct and Stanford Alpaca reject above 0.7
    kBm25,    ///< BM25: BELLE rejects above 18
    kSketch,  ///< MinHash of five-character pieces (data/duplicates.h): from the bound on, found in nearly all cases
    kOff,
  };
  By by = By::kRouge;
  double bound = 0.7;

  /// `ROUGE-L above 0.7`.
  std::string text() const;
};

/// The instructions so far, and which of them a new one is too like.
class NearInstructions {
 public:
  /// @throws ConfigError for a bound that the measure cannot have.
  explicit NearInstructions(NearBound bound);

  /// One that counts whatever it is like.
  void add(std::string_view instruction);
  /// An earlier one that this is too like, by its number in the order of adding; else none, and it is added.
  std::optional<LikeText> earlier(std::string_view instruction);

 private:
  struct Off {};
  static std::variant<RougeIndex, Bm25Index, SeenRecords, Off> index_for(NearBound bound);
  std::variant<RougeIndex, Bm25Index, SeenRecords, Off> index_;
};

}  // namespace herd
