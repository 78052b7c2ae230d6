#include "infer/server/job.h"

#include <utility>

namespace herd {

TextJob::TextJob(std::vector<Request> texts, std::optional<PromptScoring> scoring, bool generates)
    : texts_(std::move(texts)), scoring_(scoring), generates_(generates), under_way_(texts_.size()) {}

TextJob::News TextJob::wait(Clock::time_point until) {
  std::unique_lock lock(mutex_);
  changed_.wait_until(lock, until, [&] { return failure_ || news_.ended || !news_.events.empty() || (news_.accepted && !told_accepted_); });
  if (failure_) std::rethrow_exception(failure_);
  told_accepted_ = news_.accepted;
  return {.accepted = news_.accepted, .ended = news_.ended, .events = std::exchange(news_.events, {})};
}

void TextJob::cancel() {
  const std::scoped_lock lock(mutex_);
  cancelled_ = true;
}

bool TextJob::cancelled() const {
  const std::scoped_lock lock(mutex_);
  return cancelled_;
}

void TextJob::accept() {
  const std::scoped_lock lock(mutex_);
  news_.accepted = true;
  changed_.notify_all();
}

void TextJob::add(TextEvent event) {
  const std::scoped_lock lock(mutex_);
  if (event.finish) --under_way_;
  news_.ended = under_way_ == 0;
  news_.events.push_back(std::move(event));
  changed_.notify_all();
}

void TextJob::fail(std::exception_ptr why) {
  const std::scoped_lock lock(mutex_);
  failure_ = std::move(why);
  changed_.notify_all();
}

}  // namespace herd
