#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "infer/engine.h"
#include "parallel/comm/communicator.h"
#include "runtime/base/signals.h"

namespace herd {

/// What of the questions this rank answers: the longest first, so that those of a length stand side by side and no long one is left to the end, and each rank
/// has as many of every length. @param tokens of each question's prompt; 0: not to be asked. @return numbers of questions.
std::vector<std::size_t> share_of(std::span<const std::int64_t> tokens, int rank, int ranks);

/// One rank's work, as its caller wants it done.
struct ShareWork {
  std::vector<std::size_t> share;                                             ///< questions, in this order
  std::function<Request(std::size_t question)> request;                       ///< numbered, so that a text is the same on any rank
  std::function<void(std::size_t question, const Generation& answer)> store;  ///< each as soon as it is there
  std::function<Signal()> signal;
  std::function<void(std::int64_t answers, std::int64_t new_tokens)> told;  ///< of all ranks together, several times a second
};

/// Answers a rank's share while the other ranks do theirs; they tell each other how far they are without waiting. Where one of them has a signal, no rank begins
/// another text. Every rank calls it. @return the most urgent signal of any, the same on every rank, once all have ended.
Signal answer_share(Engine& engine, std::int64_t batch_size, Communicator& communicator, const ShareWork& work);

}  // namespace herd
