#include "parallel/comm/device_exchange.h"

#include <algorithm>

// The same algorithms as those of the MPI backend (mpi_exchange.cpp), as a queue of device operations: a result is the same to the bit.
namespace herd {
namespace {

// Up to here everybody gathers everything and sums it: one trip in place of two.
constexpr std::int64_t kSmallBytes = 64 << 10;

class DeviceExchange {
 public:
  DeviceExchange(DeviceLink& link, const Operation& operation, int rank, int size, std::int64_t piece_bytes)
      : link_(link), o_(operation), rank_(rank), size_(size), piece_bytes_(piece_bytes),
        width_(static_cast<std::int64_t>(operation.input.element_size())), input_(const_cast<char*>(operation.input_data())),
        output_(operation.output_data()) {}

  void start() {
    switch (o_.kind) {
      case CommKind::kAllReduce: return o_.bytes() <= std::min(kSmallBytes, piece_bytes_) ? all_reduce_at_once() : all_reduce();
      case CommKind::kReduceScatter: return reduce_scatter(output_);
      case CommKind::kAllGather: return all_gather(input_);
      case CommKind::kBroadcast: return o_.bytes() ? link_.broadcast(output_, o_.bytes(), o_.root) : void();
      case CommKind::kAllToAll: return all_to_all();
      case CommKind::kBarrier: case CommKind::kSplit: return;  // the host's
    }
  }

 private:
  using Message = DeviceLink::Message;

  std::int64_t bytes(const std::vector<std::int64_t>& counts, int rank) const { return counts[static_cast<std::size_t>(rank)] * width_; }
  std::vector<std::int64_t> offsets(const std::vector<std::int64_t>& counts) const {
    auto all = offsets_of(counts);
    for (auto& offset : all) offset *= width_;
    return all;
  }
  void own(char* to, const char* from, std::int64_t bytes) {
    if (bytes && to != from) link_.copy(to, from, bytes);
  }

  // Messages with the others, beginning behind this rank, so that not all talk to rank 0 first. `of(r)` gives memory and bytes.
  template <class Send, class Receive>
  void exchange(Send send, Receive receive) {
    messages_.clear();
    for (int i = 1; i < size_; ++i) {
      const int to = (rank_ + i) % size_, from = (rank_ + size_ - i) % size_;
      const auto [out, out_bytes] = send(to);
      const auto [in, in_bytes] = receive(from);
      if (out_bytes) messages_.push_back({Message::kSend, to, out, out_bytes});
      if (in_bytes) messages_.push_back({Message::kReceive, from, in, in_bytes});
    }
    if (!messages_.empty()) link_.exchange(messages_);
  }

  void all_reduce_at_once() {
    const auto bytes = o_.bytes();
    if (!bytes) return;
    const auto scratch = link_.scratch(bytes * size_);
    char* gathered = static_cast<char*>(scratch.mutable_data_ptr());
    link_.all_gather(input_, gathered, bytes);
    link_.reduce(o_.input.scalar_type(), o_.op, {gathered, bytes, size_, rank_, input_}, output_, o_.input.numel());
  }

  void all_reduce() {
    char* own_part = output_ + offsets(o_.send_counts)[static_cast<std::size_t>(rank_)];
    reduce_scatter(own_part);
    all_gather(own_part);
  }

  // In rounds, so that memory stays bounded; all parts are cut alike.
  void reduce_scatter(char* own_part) {
    const auto at_input = offsets(o_.send_counts);
    const auto own_bytes = bytes(o_.send_counts, rank_);
    const auto longest = *std::max_element(o_.send_counts.begin(), o_.send_counts.end()) * width_;
    const auto piece = std::max(piece_bytes_ / width_, std::int64_t{1}) * width_;
    const auto room = std::min(own_bytes, piece);
    const auto scratch = link_.scratch(room * size_);
    char* gathered = static_cast<char*>(scratch.mutable_data_ptr());
    for (std::int64_t at = 0; at < longest; at += piece) {
      const auto mine = std::clamp<std::int64_t>(own_bytes - at, 0, piece);
      exchange(
          [&](int to) {
            return std::pair(input_ + at_input[static_cast<std::size_t>(to)] + at,
                             std::clamp<std::int64_t>(bytes(o_.send_counts, to) - at, 0, piece));
          },
          [&](int from) { return std::pair(gathered + from * room, mine); });
      if (mine) {
        link_.reduce(o_.input.scalar_type(), o_.op, {gathered, room, size_, rank_, input_ + at_input[static_cast<std::size_t>(rank_)] + at},
                     own_part + at, mine / width_);
      }
    }
  }

  // The library's own where parts are equal; else pairs, which need no padding.
  void all_gather(char* own_part) {
    const auto own_bytes = bytes(o_.send_counts, rank_);
    const bool equal = std::all_of(o_.send_counts.begin(), o_.send_counts.end(), [&](auto c) { return c * width_ == own_bytes; });
    if (equal) {
      if (own_bytes) link_.all_gather(own_part, output_, own_bytes);
      return;
    }
    const auto at_output = offsets(o_.send_counts);
    own(output_ + at_output[static_cast<std::size_t>(rank_)], own_part, own_bytes);
    exchange([&](int) { return std::pair(own_part, own_bytes); },
             [&](int from) { return std::pair(output_ + at_output[static_cast<std::size_t>(from)], bytes(o_.send_counts, from)); });
  }

  void all_to_all() {
    const auto from = offsets(o_.send_counts), to = offsets(o_.receive_counts);
    const auto me = static_cast<std::size_t>(rank_);
    own(output_ + to[me], input_ + from[me], bytes(o_.send_counts, rank_));
    exchange([&](int r) { return std::pair(input_ + from[static_cast<std::size_t>(r)], bytes(o_.send_counts, r)); },
             [&](int r) { return std::pair(output_ + to[static_cast<std::size_t>(r)], bytes(o_.receive_counts, r)); });
  }

  DeviceLink& link_;
  const Operation& o_;
  const int rank_, size_;
  const std::int64_t piece_bytes_, width_;
  char* const input_;
  char* const output_;
  std::vector<Message> messages_;
};

}  // namespace

void start_on_device(DeviceLink& link, const Operation& operation, int rank, int size, std::int64_t piece_bytes) {
  DeviceExchange(link, operation, rank, size, piece_bytes).start();
}

}  // namespace herd
