#include "parallel/comm/communicator.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <numeric>

#include "parallel/comm/flight.h"
#include "parallel/comm/operation.h"
#include "parallel/comm/watchdog.h"
#include "runtime/base/process.h"

namespace herd {
namespace {

void need(bool good, const Operation& operation, std::string found, std::string expected) {
  if (!good) {
    throw ShapeError({.who = std::string(name_of(operation.kind)), .found = std::move(found), .expected = std::move(expected)});
  }
}

bool supported(at::ScalarType dtype) {
  switch (dtype) {
    case at::kFloat: case at::kDouble: case at::kBFloat16: case at::kHalf:
    case at::kLong: case at::kInt: case at::kByte: case at::kBool: return true;
    default: return false;
  }
}

std::string text_of(const std::vector<at::Device>& devices) {
  std::string text;
  for (const auto& device : devices) text += (text.empty() ? "" : " or ") + device.str();
  return text;
}

void need_buffer(const Operation& operation, const Tensor& tensor, const char* name, const std::vector<at::Device>& devices) {
  need(tensor.defined(), operation, fmt::format("{} is undefined", name), "a tensor");
  need(std::find(devices.begin(), devices.end(), tensor.device()) != devices.end(), operation,
       fmt::format("{} on {}", name, tensor.device().str()), "a tensor on " + text_of(devices));
  need(tensor.is_contiguous(), operation, fmt::format("{} is not contiguous", name), "a contiguous tensor");
  need(supported(tensor.scalar_type()), operation, fmt::format("{} of {}", name, c10::toString(tensor.scalar_type())),
       "fp32, fp64, bf16, fp16, int64, int32, uint8 or bool");
}

std::int64_t total(const std::vector<std::int64_t>& counts) { return std::accumulate(counts.begin(), counts.end(), std::int64_t{0}); }

void need_counts(const Operation& operation, const std::vector<std::int64_t>& counts, int size, std::int64_t elements, const char* of) {
  need(static_cast<int>(counts.size()) == size, operation, fmt::format("{} counts", counts.size()), fmt::format("one a rank, {}", size));
  need(std::all_of(counts.begin(), counts.end(), [](auto c) { return c >= 0; }), operation, "a negative count", "counts of 0 or more");
  need(total(counts) == elements, operation, fmt::format("counts that sum to {}", total(counts)),
       fmt::format("the {} elements of the {}", elements, of));
}

}  // namespace

std::string_view name_of(CommKind kind) {
  constexpr std::array<std::string_view, kCommKinds> names{"all_reduce", "reduce_scatter", "all_gather", "broadcast",
                                                           "all_to_all", "barrier",        "split"};
  return names[static_cast<std::size_t>(kind)];
}

std::uint64_t CommStats::calls() const {
  return std::accumulate(of_kind.begin(), of_kind.end(), std::uint64_t{0}, [](auto sum, const Line& line) { return sum + line.calls; });
}

std::uint64_t CommStats::sent() const {
  return std::accumulate(of_kind.begin(), of_kind.end(), std::uint64_t{0}, [](auto sum, const Line& line) { return sum + line.sent; });
}

void Work::wait() {
  if (pending_) pending_->wait();
}
bool Work::done() const { return !pending_ || pending_->done(); }

std::vector<std::int64_t> even_counts(std::int64_t elements, int parts) {
  std::vector<std::int64_t> counts(static_cast<std::size_t>(parts), elements / parts);
  for (std::int64_t i = 0; i < elements % parts; ++i) ++counts[static_cast<std::size_t>(i)];
  return counts;
}

Communicator::Communicator(int rank, int size, CommOptions options)
    : rank_(rank), size_(size), options_(options), stats_(std::make_shared<SharedStats>()),
      flight_(std::make_shared<FlightLog>(rank, size)), deadline_s_(std::make_shared<double>(options.deadline_s)) {}

Communicator::~Communicator() = default;

Work Communicator::all_reduce(Tensor buffer, ReduceOp op) {
  Operation operation{.kind = CommKind::kAllReduce, .op = op, .input = buffer, .output = buffer};
  need_buffer(operation, buffer, "the buffer", devices());
  operation.send_counts = operation.receive_counts = even_counts(buffer.numel(), size_);
  return run(std::move(operation));
}

Work Communicator::reduce_scatter(Tensor output, Tensor input, ReduceOp op, std::vector<std::int64_t> counts) {
  Operation operation{.kind = CommKind::kReduceScatter, .op = op, .input = std::move(input), .output = std::move(output)};
  need_buffer(operation, operation.input, "the input", devices());
  if (counts.empty()) counts = even_counts(operation.input.numel(), size_);
  need_counts(operation, counts, size_, operation.input.numel(), "input");
  const auto mine = counts[static_cast<std::size_t>(rank_)];
  need_buffer(operation, operation.output, "the output", devices());
  need(operation.output.numel() == mine, operation, fmt::format("an output of {} elements", operation.output.numel()), fmt::format("{}", mine));
  operation.send_counts = operation.receive_counts = std::move(counts);
  return run(std::move(operation));
}

Work Communicator::all_gather(Tensor output, Tensor input, std::vector<std::int64_t> counts) {
  Operation operation{.kind = CommKind::kAllGather, .input = std::move(input), .output = std::move(output)};
  need_buffer(operation, operation.output, "the output", devices());
  if (counts.empty()) counts = even_counts(operation.output.numel(), size_);
  need_counts(operation, counts, size_, operation.output.numel(), "output");
  const auto mine = counts[static_cast<std::size_t>(rank_)];
  need_buffer(operation, operation.input, "the input", devices());
  need(operation.input.numel() == mine, operation, fmt::format("an input of {} elements", operation.input.numel()), fmt::format("{}", mine));
  operation.send_counts = operation.receive_counts = std::move(counts);
  return run(std::move(operation));
}

Work Communicator::broadcast(Tensor buffer, int root) {
  Operation operation{.kind = CommKind::kBroadcast, .root = root, .input = buffer, .output = buffer};
  need_buffer(operation, buffer, "the buffer", devices());
  need(root >= 0 && root < size_, operation, fmt::format("root {}", root), fmt::format("0 to {}", size_ - 1));
  operation.send_counts = operation.receive_counts = even_counts(buffer.numel(), size_);
  return run(std::move(operation));
}

Work Communicator::all_to_all(Tensor output, Tensor input, std::vector<std::int64_t> send_counts, std::vector<std::int64_t> receive_counts) {
  Operation operation{.kind = CommKind::kAllToAll, .input = std::move(input), .output = std::move(output)};
  need_buffer(operation, operation.input, "the input", devices());
  need_buffer(operation, operation.output, "the output", devices());
  if (send_counts.empty() && receive_counts.empty()) {
    need(operation.input.numel() % size_ == 0 && operation.input.numel() == operation.output.numel(), operation,
         fmt::format("{} elements in, {} out, and no counts", operation.input.numel(), operation.output.numel()),
         fmt::format("the same multiple of {} ranks", size_));
    send_counts = receive_counts = even_counts(operation.input.numel(), size_);
  }
  need_counts(operation, send_counts, size_, operation.input.numel(), "input");
  need_counts(operation, receive_counts, size_, operation.output.numel(), "output");
  const auto own = static_cast<std::size_t>(rank_);
  need(send_counts[own] == receive_counts[own], operation, fmt::format("{} elements from this rank to itself", send_counts[own]),
       fmt::format("{}, as it receives", receive_counts[own]));
  operation.send_counts = std::move(send_counts);
  operation.receive_counts = std::move(receive_counts);
  return run(std::move(operation));
}

Work Communicator::barrier() { return run({.kind = CommKind::kBarrier}); }

std::unique_ptr<Communicator> Communicator::split(int color, int key, std::optional<CommOptions> options) {
  auto inherited = options_;
  inherited.deadline_s = *deadline_s_;
  auto operation = stamp({.kind = CommKind::kSplit});
  const auto name = fmt::format("{}/{}.{}", label_, operation.sequence, color);
  auto part = start_split(std::move(operation), color, key, options.value_or(inherited));
  if (!part) return nullptr;
  part->flight_ = flight_;
  part->label_ = name;
  if (!options) part->deadline_s_ = deadline_s_;
  return part;
}

Work Communicator::run(Operation operation) {
  if (operation.kind != CommKind::kBarrier) {
    need(operation.input.scalar_type() == operation.output.scalar_type(), operation,
         fmt::format("{} in, {} out", c10::toString(operation.input.scalar_type()), c10::toString(operation.output.scalar_type())),
         "one dtype");
    need(operation.input.device() == operation.output.device(), operation,
         fmt::format("{} in, {} out", operation.input.device().str(), operation.output.device().str()), "one device");
    const bool reduces = operation.kind == CommKind::kAllReduce || operation.kind == CommKind::kReduceScatter;
    need(!reduces || operation.op != ReduceOp::kSum || operation.output.scalar_type() != at::kBool, operation, "a sum of bool",
         "max (any) or min (all)");
  }
  return Work(start(stamp(std::move(operation))));
}

Operation Communicator::stamp(Operation operation) {
  operation.sequence = ++sequence_;
  operation.group = label_;
  operation.deadline_s = *deadline_s_;
  operation.deadline = Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(operation.deadline_s));
  operation.stats = stats_;
  operation.flight = flight_;
  const auto bytes = static_cast<std::uint64_t>(operation.bytes());
  const auto text = operation.description();
  for (const char c : text) operation.signature = (operation.signature ^ static_cast<unsigned char>(c)) * 16777619u;  // FNV-1a
  operation.flight_slot = flight_->enter(label_, operation.sequence, bytes, text, operation.deadline);
  std::lock_guard lock(stats_->mutex);
  auto& line = stats_->stats.of_kind[static_cast<std::size_t>(operation.kind)];
  ++line.calls;
  line.bytes += bytes;
  return operation;
}

void Communicator::note(std::string_view activity) { flight_->note(activity); }

CommStats Communicator::stats() const {
  std::lock_guard lock(stats_->mutex);
  return stats_->stats;
}

double Communicator::job_waited_s() const { return flight_->waited_s(); }

Peer Communicator::peer(int) const { return {.host = host_name(), .process = getpid(), .near = true}; }

void Communicator::watch(std::function<void(const std::string&)> last_words) {
  std::vector<Watchdog::Neighbour> neighbours;
  for (int rank = 0; rank < size_; ++rank) {
    auto other = peer(rank);
    if (other.near && other.process != getpid()) neighbours.push_back({rank, std::move(other)});
  }
  watchdog_ = std::make_unique<Watchdog>(flight_, std::move(neighbours), std::move(last_words));
}

void Communicator::stop_watching() { watchdog_.reset(); }

void Communicator::record_flight(const std::filesystem::path& folder) { flight_->attach(folder / fmt::format("rank-{}.flight", rank_)); }

void Communicator::abort(int code, std::string_view message) {
  std::fprintf(stderr, "%.*s\n", static_cast<int>(message.size()), message.data());
  std::_Exit(code);
}

}  // namespace herd
