#pragma once
#include "runtime/nn/causal_lm.h"

namespace herd {

/// The model answers and does not learn while this lives, no dropout and no graph: it may be in the middle of training.
class AnswerMode {
 public:
  explicit AnswerMode(RandomKeys& keys) : keys_(keys), training_(keys.training) { keys_.training = false; }
  ~AnswerMode() { keys_.training = training_; }
  AnswerMode(const AnswerMode&) = delete;
  AnswerMode& operator=(const AnswerMode&) = delete;

 private:
  at::NoGradGuard no_grad_;
  RandomKeys& keys_;
  bool training_;
};

}  // namespace herd
