#pragma once
#include <atomic>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>
#include <thread>

#include "parallel/comm/device_link.h"
#include "parallel/comm/reduce.h"

// Devices for machines that have none: each rank's queue of work is a thread, its memory the CPU's. What the nccl backend does with a
// device (order, memory, deadlines, failures) is tried on them; NCCL and CUDA themselves are not.
namespace herd::test {

/// What the devices of one run share: messages under way, by (group, from, to).
struct StandInWires {
  std::mutex mutex;
  std::condition_variable changed;
  std::map<std::tuple<std::string, int, int>, std::deque<std::vector<char>>> messages;
};

/// A thread that does things in order.
class StandInQueue {
 public:
  explicit StandInQueue(std::chrono::microseconds pause) : pause_(pause), thread_([this] { run(); }) {}
  ~StandInQueue() {
    put([this] { stopping_ = true; });
    thread_.join();
  }
  void put(std::function<void()> work) {
    {
      std::lock_guard lock(mutex_);
      work_.push_back(std::move(work));
    }
    changed_.notify_one();
  }

 private:
  void run() {
    while (!stopping_) {
      std::function<void()> work;
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return !work_.empty(); });
        work = std::move(work_.front());
        work_.pop_front();
      }
      std::this_thread::sleep_for(pause_);
      work();
    }
  }
  const std::chrono::microseconds pause_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> work_;
  bool stopping_ = false;
  std::thread thread_;
};

class StandInMark final : public DeviceMark {
 public:
  bool reached() override { return reached_; }
  void order_caller() override { reached_.wait(false); }
  void reach() {
    reached_ = true;
    reached_.notify_all();
  }

 private:
  std::atomic<bool> reached_ = false;
};

class StandInLink final : public DeviceLink {
 public:
  StandInLink(std::shared_ptr<StandInWires> wires, std::shared_ptr<StandInQueue> queue, std::string group, std::vector<int> members, int rank)
      : wires_(std::move(wires)), queue_(std::move(queue)), group_(std::move(group)), rank_(rank), size_(static_cast<int>(members.size())) {}

  at::Device device() const override { return at::kCPU; }
  std::shared_ptr<DeviceMark> mark_caller() override {
    auto mark = std::make_shared<StandInMark>();
    mark->reach();  // on the CPU what the caller did is done
    return mark;
  }
  void begin(DeviceMark&, std::function<void()>) override {}
  Tensor scratch(std::int64_t bytes) override {
    auto memory = at::empty({bytes}, at::kByte);
    scratch_.push_back(memory);
    return memory;
  }
  void exchange(std::span<const Message> messages) override {
    put([this, all = std::vector<Message>(messages.begin(), messages.end())] {
      std::unique_lock lock(wires_->mutex);
      for (const auto& m : all)
        if (m.way == Message::kSend) wires_->messages[{group_, rank_, m.peer}].emplace_back(m.memory, m.memory + m.bytes);
      wires_->changed.notify_all();
      for (const auto& m : all) {
        if (m.way == Message::kSend) continue;
        auto& line = wires_->messages[{group_, m.peer, rank_}];
        wires_->changed.wait(lock, [&] { return !line.empty() || *aborted_; });
        if (*aborted_) return;
        if (static_cast<std::int64_t>(line.front().size()) != m.bytes) *trouble_ = "a message of another length";
        else std::memcpy(m.memory, line.front().data(), line.front().size());
        line.pop_front();
      }
    });
  }
  void all_gather(const char* own, char* all, std::int64_t bytes) override {
    if (own != all + rank_ * bytes) copy(all + rank_ * bytes, own, bytes);
    std::vector<Message> messages;
    for (int r = 0; r < size_; ++r) {
      if (r == rank_) continue;
      messages.push_back({Message::kSend, r, const_cast<char*>(own), bytes});
      messages.push_back({Message::kReceive, r, all + r * bytes, bytes});
    }
    exchange(messages);
  }
  void broadcast(char* memory, std::int64_t bytes, int root) override {
    std::vector<Message> messages;
    if (root != rank_) messages.push_back({Message::kReceive, root, memory, bytes});
    for (int r = 0; r < size_ && root == rank_; ++r)
      if (r != rank_) messages.push_back({Message::kSend, r, memory, bytes});
    exchange(messages);
  }
  void copy(char* to, const char* from, std::int64_t bytes) override {
    put([=] { std::memmove(to, from, static_cast<std::size_t>(bytes)); });
  }
  void reduce(at::ScalarType dtype, ReduceOp op, const Parts& parts, char* output, std::int64_t elements) override {
    put([=] {
      std::vector<const void*> sources;
      for (int r = 0; r < parts.count; ++r) sources.push_back(r == parts.own_rank ? parts.own : parts.gathered + r * parts.stride);
      reduce_in_order(dtype, op, sources, output, elements);
    });
  }
  std::shared_ptr<DeviceMark> mark() override {
    auto mark = std::make_shared<StandInMark>();
    queue_->put([mark, memory = std::move(scratch_)] { mark->reach(); });
    scratch_.clear();
    return mark;
  }
  std::string failure() override {
    std::lock_guard lock(wires_->mutex);
    return *trouble_;
  }
  void abort() override {
    {
      std::lock_guard lock(wires_->mutex);
      *aborted_ = true;
    }
    wires_->changed.notify_all();
  }
  std::unique_ptr<DeviceLink> split(int color, int, const std::vector<int>& members, std::function<void()>) override {
    const auto name = group_ + "/" + std::to_string(++splits_) + ":" + std::to_string(color);
    if (members.empty()) return nullptr;
    const auto place = std::find(members.begin(), members.end(), rank_) - members.begin();
    return std::make_unique<StandInLink>(wires_, queue_, name, members, static_cast<int>(place));
  }

  /// The device reports an error from now on.
  void break_down(const std::string& text) {
    std::lock_guard lock(wires_->mutex);
    *trouble_ = text;
  }

 private:
  // A thing for the queue, which after abort() does nothing more of this group.
  void put(std::function<void()> work) {
    queue_->put([work = std::move(work), aborted = aborted_] {
      if (!*aborted) work();
    });
  }

  std::shared_ptr<StandInWires> wires_;
  std::shared_ptr<StandInQueue> queue_;
  const std::string group_;
  const int rank_, size_;
  int splits_ = 0;
  std::vector<Tensor> scratch_;
  std::shared_ptr<std::atomic<bool>> aborted_ = std::make_shared<std::atomic<bool>>(false);
  std::shared_ptr<std::string> trouble_ = std::make_shared<std::string>();
};

}  // namespace herd::test
