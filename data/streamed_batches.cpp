#include "data/streamed_batches.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "data/text_blocks.h"
#include "runtime/base/error.h"
#include "runtime/base/parallel_for.h"
#include "runtime/base/random.h"

namespace herd {
namespace {

using Json = nlohmann::ordered_json;

// How often an epoch shows a record of this weight, in turns that its content decides.
std::int64_t times_shown(const MixedRecord& mixed, std::int64_t epoch) {
  const auto weight = mixed.record.weight;
  if (weight == 1) return 1;
  const auto phase = std::ldexp(static_cast<double>(hash_name(mixed.key.content)), -64);
  const auto until = [&](std::int64_t e) { return std::floor(weight * static_cast<double>(e) + phase); };
  return static_cast<std::int64_t>(until(epoch + 1) - until(epoch));
}

}  // namespace

StreamedBatches::StreamedBatches(const DataOptions& options, std::vector<ResolvedSet> sets, const Tokenizer& tokenizer, std::int64_t global_batch_size, std::int64_t epochs,
                                 TokenId pad_token)
    : options_(options), stream_(options, std::move(sets)), format_(tokenizer, options), global_batch_size_(global_batch_size), epochs_(epochs), pad_token_(pad_token) {
  fetch();
}

StreamedBatches::~StreamedBatches() {
  if (next_.valid()) next_.wait();
}

StreamedBatches::Window StreamedBatches::read_window() {
  Window out{.begins = stream_.place()};
  const auto records = stream_.next();
  out.ends_epoch = records.empty();
  std::vector<std::vector<Formatter::Outcome>> outcomes(records.size());
  parallel_for(std::ssize(records), options_.threads, [&](std::int64_t i) {
    const auto& mixed = records[static_cast<std::size_t>(i)];
    if (!mixed.held_out) outcomes[static_cast<std::size_t>(i)] = format_(mixed.record, stream_.files());
  });
  ExampleWriter writer;
  TextBlocks blocks(options_.max_tokens, [&](Example row) { writer.add(row); });
  for (std::size_t i = 0; i < records.size(); ++i) {
    const auto times = times_shown(records[i], out.begins.epoch);
    for (auto& outcome : outcomes[i]) {
      if (outcome.fate == Formatter::Fate::kOverlong || outcome.fate == Formatter::Fate::kUnsupervised) continue;
      for (std::int64_t n = 0; n < times; ++n) options_.objective == Objective::kText ? blocks.add(outcome.example) : writer.add(outcome.example);
    }
  }
  blocks.finish();
  out.examples = writer.finish();

  const RowOrder shuffle{options_.seed ^ hash_name("stream"), static_cast<std::uint64_t>(out.begins.epoch << 32 ^ out.begins.window)};
  const auto order = permutation(out.examples.size(), shuffle.seed, shuffle.epoch);
  std::vector<std::int64_t> lengths;
  for (std::int64_t i = 0; i < out.examples.size(); ++i) lengths.push_back(out.examples.length(i));
  out.rows = options_.packing           ? pack_rows(order, lengths, options_.max_tokens, shuffle)
             : options_.group_by_length ? grouped_rows(order, lengths, global_batch_size_, shuffle)
                                        : single_rows(order);
  return out;
}

// The next window is read while the rows of this one are trained on.
void StreamedBatches::fetch() { next_ = std::async(std::launch::async, [this] { return read_window(); }); }

void StreamedBatches::take_window() {
  auto window = std::make_shared<const Window>(next_.get());
  fetch();
  if (window->ends_epoch) {
    epoch_read_ = true;
    return;
  }
  for (std::int64_t row = 0; row < window->rows.size(); ++row) queue_.push_back({window, row});
}

void StreamedBatches::go_to(std::int64_t step, const std::string& place) {
  const auto json = Json::parse(place, nullptr, false);
  StreamPlace begins;
  std::int64_t row = 0;
  try {
    begins = {.epoch = json.at("epoch"), .window = json.at("window"), .sets = {}};
    for (const auto& set : json.at("sets")) begins.sets.push_back({.file = set.at(0), .record = set.at(1)});
    row = json.at("row");
  } catch (const nlohmann::json::exception& problem) {
    throw DataError({.who = "the checkpoint's place in the data", .found = problem.what(), .expected = "what herd wrote", .remedy = "take another checkpoint"});
  }
  next_.wait();
  next_ = {};
  stream_.go_to(begins);
  queue_.clear();
  rows_.clear();
  epoch_ = begins.epoch;
  epoch_read_ = false;
  step_ = step - 1;
  fetch();
  if (row > 0) take_window();
  if (row > std::ssize(queue_))
    throw DataError({.who = "the checkpoint's place in the data", .found = fmt::format("row {} of a window of {}", row, queue_.size()), .expected = "the same data", .remedy = ""});
  queue_.erase(queue_.begin(), queue_.begin() + row);
}

// Makes `step` the one at hand.
void StreamedBatches::fill(std::int64_t step) {
  if (step == step_) return;
  if (step != step_ + 1) throw DataError({.who = "data.streaming", .found = fmt::format("step {} asked for after step {}", step, step_), .expected = "one after another", .remedy = ""});
  if (queue_.empty() && epoch_read_) {
    epoch_read_ = false;
    ++epoch_;
  }
  while (std::ssize(queue_) <= global_batch_size_ && !epoch_read_) take_window();  // one more than it takes, to know whether it is the last
  if (queue_.empty())
    throw DataError({.who = "data.sets", .found = "an epoch without an example", .expected = "at least one", .remedy = "look at `where`, data.max_tokens and `herd data audit`"});
  const auto count = std::min<std::int64_t>(global_batch_size_, std::ssize(queue_));
  rows_.assign(queue_.begin(), queue_.begin() + count);
  queue_.erase(queue_.begin(), queue_.begin() + count);
  ends_epoch_ = queue_.empty() && epoch_read_;
  step_ = step;
}

bool StreamedBatches::has(std::int64_t step) {
  if (step == step_) return true;
  const auto epoch = queue_.empty() && epoch_read_ ? epoch_ + 1 : epoch_;
  return epoch < epochs_;
}

StepSize StreamedBatches::size(std::int64_t step) {
  fill(step);
  StepSize out{.rows = std::ssize(rows_)};
  for (const auto& [window, row] : rows_)
    for (const auto member : window->rows[row]) {
      out.tokens += window->examples.length(member);
      out.supervised_tokens += window->examples[member].supervised_tokens();
    }
  return out;
}

std::vector<Batch> StreamedBatches::micro_batches(std::int64_t step, int rank, int ranks, std::int64_t micro_batch_size) {
  fill(step);
  return micro_batches_of(std::ssize(rows_), rank, ranks, micro_batch_size, pad_token_, [&](std::int64_t i) {
    const auto& [window, row] = rows_[static_cast<std::size_t>(i)];
    Row out;
    for (const auto member : window->rows[row]) out.push_back(window->examples[member]);
    return out;
  });
}

std::optional<std::int64_t> StreamedBatches::epoch_ended_at(std::int64_t steps) {
  return steps == step_ + 1 && ends_epoch_ ? std::optional(epoch_) : std::nullopt;
}

std::string StreamedBatches::place(std::int64_t steps) {
  if (steps != step_ + 1) throw DataError({.who = "data.streaming", .found = fmt::format("the place of step {} asked for at step {}", steps, step_), .expected = "that of the next step", .remedy = ""});
  // Without a row left an epoch ends here, or nothing has begun.
  StreamPlace begins{.epoch = step_ < 0 ? 0 : epoch_ + 1, .window = 0, .sets = std::vector<RecordReader::Place>(stream_.sets())};
  std::int64_t row = 0;
  if (!queue_.empty()) {
    begins = queue_.front().window->begins;
    row = queue_.front().row;
  }
  Json json{{"epoch", begins.epoch}, {"window", begins.window}, {"row", row}, {"sets", Json::array()}};
  for (const auto& set : begins.sets) json["sets"].push_back({set.file, set.record});
  return json.dump();
}

}  // namespace herd
