#pragma once
#include <string_view>

#include "infer/metrics/ngram_bag.h"
#include "infer/metrics/tokens.h"

namespace herd {

/// Distinct-n (Li et al. 2016, "A diversity-promoting objective function for neural conversation models", section 5): different n-grams of
/// all answers together / their n-grams. The paper divides by the number of tokens; with n-grams below the line, 1 means that none comes twice.
class Distinct {
 public:
  /// @throws ConfigError for n = 0.
  explicit Distinct(std::size_t n);
  /// n-grams do not go from one answer into the next. @param tokens kByLanguage: by this answer's.
  void add(std::string_view answer, TextTokens tokens = TextTokens::kByLanguage);
  std::int64_t total() const { return total_; }
  std::int64_t different() const { return static_cast<std::int64_t>(bag_.size()); }
  /// 0 without any n-gram.
  double value() const { return total_ ? static_cast<double>(different()) / static_cast<double>(total_) : 0; }

 private:
  std::size_t n_;
  NgramBag bag_;
  std::int64_t total_ = 0;
};

}  // namespace herd
