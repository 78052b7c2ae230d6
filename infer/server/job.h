#pragma once
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "infer/request.h"

namespace herd {

/// What one text of a job has more than at its last event.
struct TextEvent {
  std::size_t text = 0;  ///< which one
  std::string piece;
  std::vector<TokenId> ids;          ///< that made it; those of a stop string are left out
  std::vector<LogProbs> log_probs;   ///< of each of these, where they are asked for
  std::optional<FinishReason> finish{};  ///< it has ended
  std::size_t tokens = 0;            ///< that were made for the text so far
};

/// That the prompts' own log-probabilities are wanted too.
struct PromptScoring {
  std::int64_t top = 0;   ///< how many of the most probable tokens beside each
  std::size_t every = 1;  ///< texts that go on from one prompt; they follow each other
};

/// What a client wants, between its own thread and the engine's.
class TextJob {
 public:
  using Clock = std::chrono::steady_clock;
  struct News {
    bool accepted = false;  ///< nothing about the request is wrong
    bool ended = false;     ///< no more comes
    std::vector<TextEvent> events;
  };

  /// @param generates else the prompts' log-probabilities alone.
  TextJob(std::vector<Request> texts, std::optional<PromptScoring> scoring, bool generates);

  const std::vector<Request>& texts() const { return texts_; }
  const std::optional<PromptScoring>& scoring() const { return scoring_; }
  bool generates() const { return generates_; }
  Clock::time_point made() const { return made_; }

  // The client's side.
  /// Waits until there is news, at most until `until`. @throws what the engine's thread failed with.
  News wait(Clock::time_point until);
  /// Nobody waits for it any more.
  void cancel();
  /// Of each prompt, of its tokens from the second on; once ended.
  const std::vector<std::vector<LogProbs>>& prompt_log_probs() const { return prompt_log_probs_; }

  // The engine's side.
  bool cancelled() const;
  void accept();
  void add(TextEvent event);
  void fail(std::exception_ptr why);
  void set_prompt_log_probs(std::vector<std::vector<LogProbs>> log_probs) { prompt_log_probs_ = std::move(log_probs); }

 private:
  const std::vector<Request> texts_;
  const std::optional<PromptScoring> scoring_;
  const bool generates_;
  const Clock::time_point made_ = Clock::now();
  std::vector<std::vector<LogProbs>> prompt_log_probs_;  // the engine's until the last event, then the client's

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  News news_;
  std::size_t under_way_;
  std::exception_ptr failure_;
  bool cancelled_ = false, told_accepted_ = false;
};

}  // namespace herd
