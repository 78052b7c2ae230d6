#include "infer/instruct/production.h"

#include <fmt/format.h>

#include <span>
#include <utility>

#include "infer/instruct/drafts.h"
#include "runtime/base/error.h"

namespace herd {

Production::Production(const Asking& asking, ProductionOptions options) : asking_(asking), options_(options), near_(options.near) {
  for (const auto& seed : asking_.seeds()) near_.add(seed.instruction);
}

std::optional<ProductionJob> Production::next() {
  if (ended()) return std::nullopt;
  if (!answers_.empty()) {
    auto job = std::move(answers_.front());
    answers_.pop_front();
    return job;
  }
  return may_begin() ? std::optional(begin()) : std::nullopt;
}

/// No more is asked for than is likely to be wanted, were every instruction to stay: what nobody needs is paid for too.
bool Production::may_begin() const {
  const auto under_way = next_ - complete_;
  if (under_way == 0) return true;
  return under_way < options_.window && std::ssize(records_) + under_way * asking_.instructor().batch < options_.count;
}

ProductionJob Production::begin() {
  const auto request = next_++;
  const auto settled = request - options_.window;
  const auto shown = settled < 0 || asking_.own() == 0 ? 0 : shown_after_[static_cast<std::size_t>(settled)];
  auto asked = asking_.request(request, std::span(shown_).first(shown));
  batches_[request].of = std::move(asked.of);
  return {.request = request, .part = 0, .question = std::move(asked.question)};
}

void Production::take(const ProductionJob& job, const ChatReply& reply) {
  if (ended()) return;  // a reply that was still under way
  const auto batch = batches_.find(job.request);
  const auto draft =
      batch == batches_.end() || job.part == 0 ? std::map<std::int64_t, Record>::iterator{} : batch->second.drafts.find(job.part);
  if (batch == batches_.end() ||
      (job.part == 0 ? batch->second.reply.has_value() : batch->second.awaited == 0 || draft == batch->second.drafts.end()))
    throw Error({.who = fmt::format("reply {}.{}", job.request, job.part),
                 .found = "one that nobody waits for",
                 .expected = "a reply to what was asked",
                 .remedy = ""});
  if (job.part == 0) {
    batch->second.reply = reply;
    screen_what_is_there();
  } else {
    --batch->second.awaited;
    if (const auto rejection = add_answer(asking_.instructor(), reply, draft->second)) {
      ++batch->second.rejected[*rejection];
      batch->second.drafts.erase(draft);
    }
  }
  complete_what_is_done();
}

void Production::screen_what_is_there() {
  for (auto at = batches_.find(screened_); at != batches_.end() && at->second.reply; at = batches_.find(screened_)) screen(screened_++);
}

void Production::screen(std::int64_t request) {
  auto& batch = batches_[request];
  batch.screened = true;
  std::int64_t part = 0;
  for (auto& draft : drafts_of(asking_.instructor(), *batch.reply)) {
    ++part;
    if (!draft.rejection && near_.earlier(draft.question)) draft.rejection = Rejection::kNearDuplicate;
    if (draft.rejection) {
      ++batch.rejected[*draft.rejection];
      continue;
    }
    if (asking_.instructor().in_two_steps()) {
      answers_.push_back({.request = request, .part = part, .question = asking_.answer(draft.record)});
      ++batch.awaited;
    }
    batch.drafts.emplace(part, std::move(draft.record));
  }
}

void Production::complete_what_is_done() {
  for (auto at = batches_.begin(); at != batches_.end() && at->second.screened && at->second.awaited == 0 && !ended();
       at = batches_.erase(at)) {
    auto& batch = at->second;
    barren_ = batch.drafts.empty() ? barren_ + 1 : 0;
    for (const auto& [rejection, count] : batch.rejected) rejected_[rejection] += count;
    for (auto& [part, record] : batch.drafts) {
      if (reached()) break;
      if (asking_.own() > 0) shown_.push_back(record);
      records_.push_back({.record = std::move(record), .request = at->first, .part = part, .of = batch.of});
    }
    shown_after_.push_back(shown_.size());
    ++complete_;
  }
}

}  // namespace herd
