#pragma once
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <vector>

#include "data/record.h"
#include "infer/endpoint.h"
#include "infer/instruct/asking.h"
#include "infer/instruct/near.h"
#include "infer/instruct/screening.h"

namespace herd {

/// One thing to ask: a prompt for a batch of instructions (part 0), or the answer to one of them (part 1, 2, …, by its place in the reply).
struct ProductionJob {
  std::int64_t request = 0, part = 0;
  ChatQuestion question;
};

/// A record that stays, and what it was made of.
struct ProducedRecord {
  Record record;
  std::int64_t request = 0, part = 0;
  AskedOf of;
};

struct ProductionOptions {
  std::int64_t count = 100;    ///< records wanted
  std::int64_t window = 4;     ///< requests under way at once
  std::int64_t patience = 20;  ///< requests in a row without a record, after which it gives up
  NearBound near;
};

/// A generation without its service and files: what to ask next, and what replies come to. Replies may come in any order; they are looked
/// at in the order of the requests, so that the records depend on the replies alone, and on the window only where prompts show what was
/// generated (then a request waits for all that are `window` or more before it). One thread at a time.
class Production {
 public:
  Production(const Asking& asking, ProductionOptions options);

  /// None: there is nothing to ask before another reply is there, or at all where ended().
  std::optional<ProductionJob> next();
  /// The reply to what next() gave. Another one is refused: @throws Error.
  void take(const ProductionJob& job, const ChatReply& reply);

  bool reached() const { return std::ssize(records_) >= options_.count; }
  bool gave_up() const { return !reached() && barren_ >= options_.patience; }
  bool ended() const { return reached() || gave_up(); }
  /// Those of all requests before the first that is still under way, `count` at most.
  const std::vector<ProducedRecord>& records() const { return records_; }
  /// Of these requests, up to and including the one that reached the count.
  const RejectionCounts& rejected() const { return rejected_; }
  std::int64_t requests() const { return complete_; }

 private:
  struct Batch {
    AskedOf of;
    std::optional<ChatReply> reply;
    bool screened = false;
    std::int64_t awaited = 0;               // answers
    std::map<std::int64_t, Record> drafts;  // by part; without those that were rejected
    RejectionCounts rejected;
  };
  bool may_begin() const;
  ProductionJob begin();
  void screen_what_is_there();
  void screen(std::int64_t request);
  void complete_what_is_done();

  const Asking& asking_;
  const ProductionOptions options_;
  NearInstructions near_;
  std::deque<ProductionJob> answers_;      // to ask for
  std::map<std::int64_t, Batch> batches_;  // under way, by request
  std::int64_t next_ = 0, screened_ = 0, complete_ = 0, barren_ = 0;
  std::vector<ProducedRecord> records_;
  std::vector<Record> shown_;             // of records_, for prompts
  std::vector<std::size_t> shown_after_;  // how many of them there were after each request
  RejectionCounts rejected_;
};

}  // namespace herd
