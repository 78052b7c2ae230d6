#pragma once
#include <functional>
#include <memory>

#include "infer/server/answer.h"
#include "infer/server/http.h"

namespace herd {

/// A client's side of a job: follows it to its end, or gives it up where the client has left or its time is over. Goes as a stream, or gives the whole.
class Following final : public HttpStream {
 public:
  Following(Call call, const Tokenizer& tokenizer, std::shared_ptr<TextJob> job, double timeout_s);
  ~Following() override { job_->cancel(); }  // nothing where it has ended
  Following(const Following&) = delete;
  Following& operator=(const Following&) = delete;

  const Call& call() const { return call_; }
  /// Waits until the engine has found nothing wrong with it. All of these @throw what is wrong, ApiError 504 when its time is over, 499 when the client has left.
  void accepted(const std::function<bool()>& there);
  std::string whole(const std::function<bool()>& there);
  /// Of the first text alone.
  std::string text(const std::function<bool()>& there);
  std::optional<std::string> next() override;

 private:
  TextJob::News wait(const std::function<bool()>& there);
  void follow(const std::function<bool()>& there, const std::function<void(const TextEvent&)>& listen);

  const Call call_;
  Answer answer_;
  std::shared_ptr<TextJob> job_;
  double timeout_s_;
  TextJob::Clock::time_point deadline_;
  TextJob::News early_;  // what came with the acceptance
  bool begun_ = false, ended_ = false;
};

}  // namespace herd
