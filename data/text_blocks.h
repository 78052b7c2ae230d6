#pragma once
#include <cstdint>
#include <functional>

#include "data/formatter.h"

namespace herd {

/// Documents, each ended by the end of sequence, joined and cut into rows of `max_tokens`: continued pre-training as BELLE's pt_train.py does it. A document may
/// begin and end anywhere in a row; attention goes across, as it does there. Every token but a row's first is learnt.
class TextBlocks {
 public:
  using Take = std::function<void(Example)>;
  TextBlocks(std::int64_t max_tokens, Take take) : max_tokens_(max_tokens), take_(std::move(take)) {}

  void add(const Example& document);
  /// What is left makes a shorter row (one token alone makes none: it could not be learnt).
  void finish();

 private:
  void give();

  std::int64_t max_tokens_;
  Take take_;
  Example row_;
};

}  // namespace herd
