#include "infer/server/following.h"

#include <fmt/format.h>

#include "infer/server/api_error.h"

namespace herd {
namespace {

constexpr auto kLook = std::chrono::milliseconds(100);  // how often a client that waits is looked after

}  // namespace

Following::Following(Call call, const Tokenizer& tokenizer, std::shared_ptr<TextJob> job, double timeout_s)
    : call_(std::move(call)), answer_(call_, tokenizer), job_(std::move(job)), timeout_s_(timeout_s),
      deadline_(job_->made() + std::chrono::duration_cast<TextJob::Clock::duration>(std::chrono::duration<double>(timeout_s))) {}

TextJob::News Following::wait(const std::function<bool()>& there) {
  const auto now = TextJob::Clock::now();
  if (now >= deadline_) throw ApiError(504, fmt::format("no answer within {} s (--request-timeout)", timeout_s_), "", "timeout");
  if (there && !there()) throw ApiError(499, "the client has left");
  if (!early_.events.empty()) return std::exchange(early_, {.accepted = true, .ended = early_.ended, .events = {}});
  return job_->wait(std::min(deadline_, now + kLook));
}

void Following::accepted(const std::function<bool()>& there) {
  while (!early_.accepted) early_ = wait(there);
}

void Following::follow(const std::function<bool()>& there, const std::function<void(const TextEvent&)>& listen) {
  for (bool ended = false; !ended;) {
    const auto news = wait(there);
    for (const auto& event : news.events) listen(event);
    ended = news.ended;
  }
}

std::string Following::whole(const std::function<bool()>& there) {
  follow(there, [this](const TextEvent& event) { answer_.add(event); });
  return answer_.whole(job_->prompt_log_probs());
}

std::string Following::text(const std::function<bool()>& there) {
  std::string text;
  follow(there, [&](const TextEvent& event) { text += event.piece; });
  return text;
}

std::optional<std::string> Following::next() {
  if (ended_) return std::nullopt;
  std::string out;
  if (!begun_) out = answer_.begin();
  begun_ = true;
  try {
    const auto news = wait({});
    for (const auto& event : news.events) out += answer_.piece(event);
    if (news.ended) ended_ = true, out += answer_.end();
  } catch (const std::exception& error) {
    // The head has been sent: what is left is to say so in the stream, and to end it without [DONE].
    ended_ = true;
    out += sse_event(api_error(error).json());
  }
  return out;
}

}  // namespace herd
