#include "parallel/comm/mpi_exchange.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <numeric>

#include "parallel/comm/reduce.h"

// Every function here names its messages, pauses until they have arrived, computes, and so on. Both sides of a pair name their messages
// in the same order.
namespace herd {
namespace {

// A round of a reduction: sums run while their parts are still in the cache (14 MB on 2 ranks: 2.1 ms, in one round 3.2 ms).
constexpr std::int64_t kSumBytes = 256 << 10;

// What `check` compares: how many elements the sender has for the receiver, and what it has entered.
struct Entry {
  std::int64_t elements = 0;
  char description[248] = {};
};

}  // namespace

static int signatures(const MpiLink& link) { return link.greatest_tag() >= (1 << 24) - 1 ? Exchange::kSignatures : 1; }

int Exchange::greatest_group(const MpiLink& link) {
  return static_cast<int>((std::int64_t{link.greatest_tag()} + 1) / (kTagsPerGroup * signatures(link))) - 1;
}

Exchange::Exchange(const Operation& operation, const MpiGroup& group, MpiLink& link, SplitRequest split)
    : operation_(operation), group_(group), rank_(group.rank), size_(group.size()),
      tag_((group.id * kTagsPerGroup + static_cast<int>(operation.sequence % kTagsPerGroup)) * signatures(link) +
           static_cast<int>(operation.signature % static_cast<unsigned>(signatures(link)))),
      width_(operation.input.defined() ? static_cast<std::int64_t>(operation.input.element_size()) : 1), messages_(link), next_messages_(link),
      split_request_(split), steps_(steps()) {
  for (int r = 1; r < size_; ++r) peers_.push_back((rank_ + r) % size_);
}

Exchange::Progress Exchange::advance() {
  bool moved = false;
  for (;;) {
    const auto progress = messages_.poll();
    if (progress != MpiLink::Messages::Progress::kAll)
      return moved || progress == MpiLink::Messages::Progress::kSome ? Progress::kSome : Progress::kNone;
    if (!steps_.next()) return Progress::kDone;
    moved = true;
  }
}

Steps Exchange::steps() {
#ifdef HERD_CHECK_COLLECTIVES
  const bool checked = true;
#else
  const bool checked = group_.options.check;
#endif
  if (checked) for (auto part = check(); part.next();) co_yield Pause{};
  auto part = [&] {
    const auto& o = operation_;
    const auto small = std::min(kSmallBytes, group_.options.piece_bytes);
    switch (o.kind) {
      case CommKind::kAllReduce: return o.bytes() <= small ? all_reduce_at_once() : all_reduce();
      case CommKind::kReduceScatter: return reduce_scatter(o.input_data(), o.output_data());
      case CommKind::kAllGather: return all_gather(o.input_data(), o.output_data());
      case CommKind::kBroadcast: return broadcast();
      case CommKind::kAllToAll: return all_to_all();
      case CommKind::kBarrier: return barrier();
      case CommKind::kSplit: break;
    }
    return split(split_request_);
  }();
  while (part.next()) co_yield Pause{};
}

Steps Exchange::check() {
  const auto description = operation_.description();
  std::vector<Entry> mine(static_cast<std::size_t>(size_)), theirs(mine.size());
  for (std::size_t r = 0; r < mine.size(); ++r) {
    if (operation_.kind == CommKind::kAllToAll) mine[r].elements = operation_.send_counts[r];
    std::memcpy(mine[r].description, description.data(), std::min(description.size(), sizeof(Entry::description) - 1));
  }
  const auto own_place = static_cast<std::size_t>(rank_);
  theirs[own_place] = mine[own_place];
  for (int r : peers_) receive(r, reinterpret_cast<char*>(&theirs[static_cast<std::size_t>(r)]), sizeof(Entry));
  for (int r : peers_) post(r, reinterpret_cast<const char*>(&mine[static_cast<std::size_t>(r)]), sizeof(Entry));
  co_yield Pause{};
  std::vector<std::string> descriptions;
  for (const auto& entry : theirs) descriptions.emplace_back(entry.description);
  if (auto error = disagreement(operation_, group_.world_ranks, descriptions, group_.hosts)) throw *error;
  if (operation_.kind != CommKind::kAllToAll) co_return;
  for (std::size_t r = 0; r < theirs.size(); ++r) {
    if (auto error = pair_disagreement(operation_, group_.world_ranks[r], group_.world_rank(), theirs[r].elements, operation_.receive_counts[r]))
      throw *error;
  }
}

Steps Exchange::all_reduce_at_once() {
  const auto bytes = operation_.bytes();
  scratch_.resize(static_cast<std::size_t>(bytes * size_));
  std::vector<const void*> sources(static_cast<std::size_t>(size_));
  for (int r = 0; r < size_; ++r) sources[static_cast<std::size_t>(r)] = r == rank_ ? operation_.input_data() : scratch_.data() + r * bytes;
  for (int r : peers_) receive(r, scratch_.data() + r * bytes, bytes);
  for (int r : peers_) send(r, operation_.input_data(), bytes);
  co_yield Pause{};
  reduce_in_order(operation_.input.scalar_type(), operation_.op, sources, operation_.output_data(), operation_.input.numel());
}

Steps Exchange::all_reduce() {
  char* own_part = operation_.output_data() + byte_offsets(operation_.send_counts)[static_cast<std::size_t>(rank_)];
  for (auto part = reduce_scatter(operation_.input_data(), own_part); part.next();) co_yield Pause{};
  for (auto part = all_gather(own_part, operation_.output_data()); part.next();) co_yield Pause{};
}

// In rounds, so that memory stays bounded; all parts are cut alike. One round travels while the one before it is summed.
Steps Exchange::reduce_scatter(const char* input, char* own_part) {
  const auto offsets = byte_offsets(operation_.send_counts);
  const auto own_bytes = bytes_of(operation_.send_counts, rank_);
  const auto longest = *std::max_element(operation_.send_counts.begin(), operation_.send_counts.end()) * width_;
  const auto piece = std::max(std::min(kSumBytes, group_.options.piece_bytes) / width_, std::int64_t{1}) * width_;
  const auto room = std::min(own_bytes, piece);  // for one rank's part of a round
  scratch_.resize(static_cast<std::size_t>(2 * room * size_));
  const auto parts = [&](std::int64_t at) { return scratch_.data() + at / piece % 2 * room * size_; };
  const auto exchange = [&](std::int64_t at) {
    for (int r : peers_) receive(r, parts(at) + r * room, std::clamp<std::int64_t>(own_bytes - at, 0, piece));
    for (int r : peers_)
      send(r, input + offsets[static_cast<std::size_t>(r)] + at, std::clamp<std::int64_t>(bytes_of(operation_.send_counts, r) - at, 0, piece));
  };
  std::vector<const void*> sources(static_cast<std::size_t>(size_));
  if (longest) exchange(0);
  for (std::int64_t at = 0; at < longest; at += piece) {
    std::swap(messages_, next_messages_);
    if (at + piece < longest) exchange(at + piece);
    std::swap(messages_, next_messages_);
    co_yield Pause{};
    std::swap(messages_, next_messages_);
    const auto mine = std::clamp<std::int64_t>(own_bytes - at, 0, piece);
    if (!mine) continue;
    for (int r = 0; r < size_; ++r)
      sources[static_cast<std::size_t>(r)] = r == rank_ ? input + offsets[static_cast<std::size_t>(r)] + at : parts(at) + r * room;
    reduce_in_order(operation_.input.scalar_type(), operation_.op, sources, own_part + at, mine / width_);
  }
}

Steps Exchange::all_gather(const char* own_part, char* output) {
  const auto offsets = byte_offsets(operation_.send_counts);
  for (int r : peers_) receive(r, output + offsets[static_cast<std::size_t>(r)], bytes_of(operation_.send_counts, r));
  for (int r : peers_) send(r, own_part, bytes_of(operation_.send_counts, rank_));
  own(output + offsets[static_cast<std::size_t>(rank_)], own_part, bytes_of(operation_.send_counts, rank_));
  co_yield Pause{};
}

// Small: from the root to each. Large: each gets a part and passes it to all, so that the root sends no more than twice its buffer
// (van de Geijn 1994: scatter, then collect).
Steps Exchange::broadcast() {
  const int root = operation_.root;
  const auto bytes = operation_.bytes();
  char* buffer = operation_.output_data();
  if (bytes <= std::min(kSmallBytes, group_.options.piece_bytes) || size_ == 2) {
    if (rank_ == root)
      for (int r : peers_) send(r, buffer, bytes);
    else
      receive(root, buffer, bytes);
    co_yield Pause{};
    co_return;
  }
  const auto offsets = byte_offsets(operation_.send_counts);
  char* own_part = buffer + offsets[static_cast<std::size_t>(rank_)];
  if (rank_ == root)
    for (int r : peers_) send(r, buffer + offsets[static_cast<std::size_t>(r)], bytes_of(operation_.send_counts, r));
  else
    receive(root, own_part, bytes_of(operation_.send_counts, rank_));
  co_yield Pause{};
  // The root has everything: it takes part by sending its own part alone.
  for (int r : peers_)
    if (rank_ != root) receive(r, buffer + offsets[static_cast<std::size_t>(r)], bytes_of(operation_.send_counts, r));
  for (int r : peers_)
    if (r != root) send(r, own_part, bytes_of(operation_.send_counts, rank_));
  co_yield Pause{};
}

Steps Exchange::all_to_all() {
  const auto from = byte_offsets(operation_.send_counts), to = byte_offsets(operation_.receive_counts);
  const char* input = operation_.input_data();
  char* output = operation_.output_data();
  for (int r : peers_) receive(r, output + to[static_cast<std::size_t>(r)], bytes_of(operation_.receive_counts, r));
  for (int r : peers_) send(r, input + from[static_cast<std::size_t>(r)], bytes_of(operation_.send_counts, r));
  own(output + to[static_cast<std::size_t>(rank_)], input + from[static_cast<std::size_t>(rank_)], bytes_of(operation_.send_counts, rank_));
  co_yield Pause{};
}

Steps Exchange::barrier() {
  scratch_.resize(static_cast<std::size_t>(size_));
  for (int r : peers_) receive(r, scratch_.data() + r, 1);
  for (int r : peers_) send(r, scratch_.data() + rank_, 1);
  co_yield Pause{};
}

Steps Exchange::split(SplitRequest request) {
  std::vector<SplitRequest> all(static_cast<std::size_t>(size_));
  all[static_cast<std::size_t>(rank_)] = request;
  for (int r : peers_) receive(r, reinterpret_cast<char*>(&all[static_cast<std::size_t>(r)]), sizeof(SplitRequest));
  for (int r : peers_) send(r, reinterpret_cast<const char*>(&all[static_cast<std::size_t>(rank_)]), sizeof(SplitRequest));
  co_yield Pause{};
  std::vector<int> order(all.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return all[static_cast<std::size_t>(a)].key < all[static_cast<std::size_t>(b)].key; });
  std::map<std::int64_t, std::int64_t> ids;  // by color
  std::int64_t id = 0;
  for (const auto& other : all) {
    id = std::max(id, other.free_id);
    if (other.color >= 0) ids[other.color] = 0;
  }
  for (auto& entry : ids) entry.second = id++;
  split_result.free_id = id;
  if (request.color < 0) co_return;
  split_result.id = ids[request.color];
  for (int r : order) {
    if (all[static_cast<std::size_t>(r)].color != request.color) continue;
    if (r == rank_) split_result.rank = static_cast<int>(split_result.world_ranks.size());
    split_result.world_ranks.push_back(group_.world_ranks[static_cast<std::size_t>(r)]);
  }
}

std::vector<std::int64_t> Exchange::byte_offsets(const std::vector<std::int64_t>& counts) const {
  auto offsets = offsets_of(counts);
  for (auto& offset : offsets) offset *= width_;
  return offsets;
}

void Exchange::send(int to, const char* from, std::int64_t bytes) {
  count_sent(operation_, bytes);
  post(to, from, bytes);
}

void Exchange::post(int to, const char* from, std::int64_t bytes) {
  const auto piece = group_.options.piece_bytes;
  for (std::int64_t at = 0; at < bytes; at += piece)
    messages_.send(group_.world_ranks[static_cast<std::size_t>(to)], tag_, from + at, std::min(piece, bytes - at));
}

void Exchange::receive(int from, char* to, std::int64_t bytes) {
  const auto piece = group_.options.piece_bytes;
  for (std::int64_t at = 0; at < bytes; at += piece)
    messages_.receive(group_.world_ranks[static_cast<std::size_t>(from)], tag_, to + at, std::min(piece, bytes - at));
}

void Exchange::own(char* to, const char* from, std::int64_t bytes) const {
  if (bytes && to != from) std::memmove(to, from, static_cast<std::size_t>(bytes));
}

}  // namespace herd
