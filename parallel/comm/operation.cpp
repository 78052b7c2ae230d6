#include "parallel/comm/operation.h"

#include <c10/core/ScalarType.h>
#include <fmt/format.h>

#include <numeric>

#include "parallel/comm/flight.h"
#include "runtime/base/text.h"
#include "runtime/tensor/dtype.h"

namespace herd {
namespace {

std::string describe(const Tensor& tensor) { return fmt::format("{} {}", c10::toString(tensor.scalar_type()), shape_text(tensor.sizes())); }

// A list of counts in full while short; its sum and a checksum beyond that, so that every description fits one line.
std::string counts_text(std::span<const std::int64_t> counts) {
  if (counts.size() <= 8) return fmt::format("{}", fmt::join(counts, "+"));
  std::uint64_t sum = 14695981039346656037ull;
  for (auto count : counts) sum = (sum ^ static_cast<std::uint64_t>(count)) * 1099511628211ull;
  return fmt::format("{} parts #{:x}", counts.size(), sum);
}

const char* name_of(ReduceOp op) { return op == ReduceOp::kSum ? "sum" : op == ReduceOp::kMax ? "max" : "min"; }

}  // namespace

std::int64_t Operation::bytes() const {
  auto of = [](const Tensor& t) { return t.defined() ? static_cast<std::int64_t>(t.nbytes()) : 0; };
  return std::max(of(input), of(output));
}

std::string Operation::title() const { return fmt::format("{} #{}", herd::name_of(kind), sequence); }

std::string Operation::description() const {
  const std::string name(herd::name_of(kind));
  switch (kind) {
    case CommKind::kAllReduce: return fmt::format("{}({}) of {}", name, name_of(op), describe(output));
    case CommKind::kReduceScatter:
      return fmt::format("{}({}) of {} {}", name, name_of(op), c10::toString(input.scalar_type()), counts_text(send_counts));
    case CommKind::kAllGather: return fmt::format("{} of {} {}", name, c10::toString(input.scalar_type()), counts_text(send_counts));
    case CommKind::kBroadcast: return fmt::format("{} from rank {} of {}", name, root, describe(output));
    case CommKind::kAllToAll: return fmt::format("{} of {}", name, c10::toString(input.scalar_type()));
    default: return name;
  }
}

const char* Operation::input_data() const { return static_cast<const char*>(input.const_data_ptr()); }
char* Operation::output_data() const { return static_cast<char*>(output.mutable_data_ptr()); }

bool Completion::done() const {
  std::lock_guard lock(mutex_);
  return done_;
}

void Completion::wait() {
  std::unique_lock lock(mutex_);
  if (!done_) {
    const auto began = Clock::now();
    ++waiting_;
    if (!changed_.wait_until(lock, operation_.deadline + grace(), [&] { return done_; })) {
      lock.unlock();
      overdue();
      lock.lock();
    }
    --waiting_;
    const double waited = std::chrono::duration<double>(Clock::now() - began).count();
    if (operation_.flight) operation_.flight->add_wait(waited);
  }
  if (error_) std::rethrow_exception(error_);
}

void Completion::complete(std::exception_ptr error) {
  if (claimed_.exchange(true)) return;
  if (operation_.flight) operation_.flight->leave(operation_.flight_slot, error != nullptr);
  if (operation_.stats && !error) {
    std::lock_guard lock(operation_.stats->mutex);
    ++operation_.stats->stats.done;
  }
  // Notified under the lock: a waiter may destroy this object as soon as it sees done_.
  std::lock_guard lock(mutex_);
  done_ = true;
  error_ = std::move(error);
  changed_.notify_all();
}

void count_sent(const Operation& operation, std::int64_t bytes) {
  if (!operation.stats) return;
  std::lock_guard lock(operation.stats->mutex);
  operation.stats->stats.of_kind[static_cast<std::size_t>(operation.kind)].sent += static_cast<std::uint64_t>(bytes);
}

std::string rank_list(std::span<const int> ranks, Hosts hosts) {
  if (!hosts.empty()) {
    std::string text;
    for (std::size_t i = 0, end = 0; i < ranks.size(); i = end) {
      const auto& host = hosts[static_cast<std::size_t>(ranks[i])];
      while (end < ranks.size() && hosts[static_cast<std::size_t>(ranks[end])] == host) ++end;
      text += (i ? ", " : "") + rank_list(ranks.subspan(i, end - i)) + " on " + host;
    }
    return text;
  }
  std::string text = ranks.size() == 1 ? "rank " : "ranks ";
  for (std::size_t i = 0; i < ranks.size();) {
    auto last = i;
    while (last + 1 < ranks.size() && ranks[last + 1] == ranks[last] + 1) ++last;
    if (i) text += ", ";
    text += std::to_string(ranks[i]);
    if (last > i) text += (last > i + 1 ? "–" : ", ") + std::to_string(ranks[last]);
    i = last + 1;
  }
  return text;
}

CommError deadline_error(const Operation& operation, std::span<const int> late, std::span<const int> silent, const std::string& activities,
                         Hosts hosts) {
  std::string found;
  if (!late.empty()) found = rank_list(late, hosts) + (late.size() > 1 ? " have" : " has") + " not entered it";
  if (!silent.empty()) {
    found += (found.empty() ? "" : "; ") + rank_list(silent, hosts) + (silent.size() > 1 ? " do" : " does") + " not answer";
  }
  if (found.empty()) found = "every rank has entered it, yet it is not complete";
  return CommError({.who = fmt::format("{} ({}, {})", operation.title(), operation.description(),
                                       human_bytes(static_cast<std::uint64_t>(operation.bytes()))),
                    .found = fmt::format("{} after {:g} s{}{}", found, operation.deadline_s, activities.empty() ? "" : "; ", activities),
                    .expected = "completion on all ranks"});
}

std::optional<CommError> disagreement(const Operation& operation, std::span<const int> ranks, std::span<const std::string> descriptions,
                                      Hosts hosts) {
  std::vector<std::pair<std::string, std::vector<int>>> sides;
  for (std::size_t r = 0; r < descriptions.size(); ++r) {
    auto side = std::find_if(sides.begin(), sides.end(), [&](const auto& s) { return s.first == descriptions[r]; });
    if (side == sides.end()) side = sides.insert(sides.end(), {descriptions[r], {}});
    side->second.push_back(ranks[r]);
  }
  if (sides.size() < 2) return std::nullopt;
  std::string found = "the ranks disagree";
  for (const auto& [text, members] : sides)
    found += (&text == &sides.front().first ? ": " : "; ") + rank_list(members, hosts) + " entered " + text;
  return CommError({.who = operation.title(), .found = found, .expected = "the same operation, shape and dtype on every rank"});
}

std::optional<CommError> pair_disagreement(const Operation& operation, int from, int to, std::int64_t sent, std::int64_t received) {
  if (sent == received) return std::nullopt;
  return CommError({.who = operation.title(), .found = fmt::format("rank {} sends {} elements to rank {}, which receives {}", from, sent, to, received),
                    .expected = "equal counts on both sides"});
}

CommError out_of_use(const Operation& operation, const std::string& first_cause) {
  return CommError({.who = operation.title(), .found = "the communicator is out of use since: " + first_cause});
}

std::vector<std::int64_t> offsets_of(std::span<const std::int64_t> counts) {
  std::vector<std::int64_t> offsets(counts.size() + 1, 0);
  std::partial_sum(counts.begin(), counts.end(), offsets.begin() + 1);
  return offsets;
}

}  // namespace herd
