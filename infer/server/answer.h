#pragma once
#include <memory>
#include <string>
#include <vector>

#include "infer/server/call.h"
#include "infer/server/job.h"

namespace herd {

/// The answer to a call, in OpenAI's words: whole, or in the pieces of a stream.
class Answer {
 public:
  /// @param call, tokenizer outlive this.
  Answer(const Call& call, const Tokenizer& tokenizer);

  // Whole: every event, then the body.
  void add(const TextEvent& event);
  /// @param prompt_log_probs as TextJob's, for those who asked for an echo with them.
  std::string whole(const std::vector<std::vector<LogProbs>>& prompt_log_probs) const;

  // In pieces, each a server-sent event.
  std::string begin() const;                   ///< of a chat: who speaks
  std::string piece(const TextEvent& event);   ///< empty where there is nothing to tell
  std::string end() const;                     ///< usage, where it is asked for, and `data: [DONE]`

 private:
  struct Text {
    std::string text;
    std::vector<TokenId> ids;
    std::vector<LogProbs> log_probs;
    std::size_t tokens = 0;
    std::optional<FinishReason> finish;
  };

  const Call& call_;
  const Tokenizer& tokenizer_;
  std::string id_;
  std::int64_t created_;
  std::vector<Text> texts_;
};

/// `data: …` and an empty line.
std::string sse_event(const std::string& data);

}  // namespace herd
