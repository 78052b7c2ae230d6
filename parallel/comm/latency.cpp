#include "parallel/comm/latency.h"

#include <condition_variable>
#include <cstring>
#include <exception>
#include <map>
#include <mutex>
#include <thread>

#include "parallel/comm/operation.h"
#include "runtime/base/random.h"

namespace herd {
namespace {

// Looks again after this where the operation itself is late.
constexpr auto kLook = std::chrono::microseconds(100);

Clock::duration seconds(double s) { return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(s)); }

// A number in [0, 1) for each (seed, sequence).
double draw(std::uint64_t seed, std::uint64_t sequence) { return philox(seed, sequence, 0)[0] * 0x1p-32; }

// What the caller waits for; `inner` works on buffers of its own meanwhile.
class Parcel final : public Completion {
 public:
  Parcel(Operation operation, std::shared_ptr<Pending> inner, Tensor result)
      : Completion(std::move(operation)), inner(std::move(inner)), result(std::move(result)) {}

  void deliver() {
    try {
      inner->wait();
      if (result.defined() && result.numel()) std::memcpy(operation().output_data(), result.const_data_ptr(), result.nbytes());
      complete();
    } catch (...) {
      complete(std::current_exception());
    }
  }

  const std::shared_ptr<Pending> inner;
  const Tensor result;

 private:
  // The inner operation's own words about who is late.
  void overdue() override { deliver(); }
  std::chrono::milliseconds grace() const override { return std::chrono::seconds(8); }
};

bool share_memory(const Tensor& a, const Tensor& b) { return a.defined() && b.defined() && a.is_alias_of(b); }

}  // namespace

// Delivers every parcel at its time, on a thread of its own.
class LatencyCommunicator::Courier {
 public:
  Courier() : thread_([this] { run(); }) {}
  ~Courier() {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_one();
    thread_.join();
  }

  void take(std::shared_ptr<Parcel> parcel, double line_s, double delay_s) {
    {
      std::lock_guard lock(mutex_);
      const auto now = Clock::now();
      line_free_ = std::max(line_free_, now) + seconds(line_s);
      parcels_.emplace(line_free_ + seconds(delay_s), std::move(parcel));
    }
    changed_.notify_one();
  }

 private:
  void run() {
    std::unique_lock lock(mutex_);
    while (!stopping_ || !parcels_.empty()) {
      if (parcels_.empty()) {
        changed_.wait(lock);
        continue;
      }
      const auto due = parcels_.begin()->first;
      if (Clock::now() < due) {
        changed_.wait_until(lock, due);
        continue;
      }
      auto parcel = std::move(parcels_.begin()->second);
      parcels_.erase(parcels_.begin());
      // wait() throws at the inner deadline, so a parcel whose ranks never come is delivered too.
      if (!parcel->inner->done() && Clock::now() < parcel->operation().deadline) {
        parcels_.emplace(Clock::now() + kLook, std::move(parcel));
        continue;
      }
      lock.unlock();
      parcel->deliver();
      parcel.reset();
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::multimap<Clock::time_point, std::shared_ptr<Parcel>> parcels_;  // by time of delivery
  Clock::time_point line_free_{};
  bool stopping_ = false;
  std::thread thread_;
};

LatencyCommunicator::LatencyCommunicator(Communicator& inner, LatencyOptions options)
    : Communicator(inner.rank(), inner.size(), inner.options()), inner_(inner), latency_(options), courier_(std::make_unique<Courier>()) {}

LatencyCommunicator::LatencyCommunicator(std::unique_ptr<Communicator> inner, LatencyOptions options)
    : Communicator(inner->rank(), inner->size(), inner->options()), owned_(std::move(inner)), inner_(*owned_), latency_(options),
      courier_(std::make_unique<Courier>()) {}

LatencyCommunicator::~LatencyCommunicator() = default;

void LatencyCommunicator::note(std::string_view activity) {
  Communicator::note(activity);
  inner_.note(activity);
}

Peer LatencyCommunicator::peer(int rank) const { return inner_.peer(rank); }

void LatencyCommunicator::abort(int code, std::string_view message) {
  inner_.abort(code, message);
  std::terminate();  // gcc does not see that a virtual function never returns
}

std::shared_ptr<Pending> LatencyCommunicator::start(Operation operation) {
  const auto bytes = static_cast<double>(operation.bytes());
  Operation hidden = operation;
  hidden.stats = nullptr;  // counted once, out here
  hidden.flight = nullptr;
  if (operation.output.defined()) {
    hidden.output = operation.output.clone();
    if (operation.input.is_same(operation.output)) hidden.input = hidden.output;
    else if (share_memory(operation.input, operation.output)) hidden.input = operation.input.clone();
    if (operation.output.numel()) std::memset(operation.output_data(), 0xff, operation.output.nbytes());
  }
  const Tensor result = hidden.output;
  auto parcel = std::make_shared<Parcel>(operation, inner_.start(std::move(hidden)), result);
  courier_->take(parcel, bytes / latency_.bytes_per_s, latency_.latency_s + latency_.jitter_s * draw(latency_.seed, operation.sequence));
  return parcel;
}

std::unique_ptr<Communicator> LatencyCommunicator::start_split(Operation operation, int color, int key, CommOptions options) {
  Operation hidden = operation;
  hidden.stats = nullptr;
  hidden.flight = nullptr;
  auto part = inner_.start_split(std::move(hidden), color, key, options);
  Parcel(std::move(operation), nullptr, {}).complete();
  if (!part) return nullptr;
  return std::make_unique<LatencyCommunicator>(std::move(part), latency_);
}

}  // namespace herd
