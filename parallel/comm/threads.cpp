#include "parallel/comm/threads.h"

#include <cstring>
#include <map>
#include <numeric>
#include <thread>

#include "parallel/comm/flight.h"
#include "parallel/comm/operation.h"
#include "parallel/comm/reduce.h"

// Ranks meet in a slot for each sequence number; the last to arrive does the whole operation for all.
namespace herd {
namespace {

struct Group;

// What the ranks of one run share. One mutex for all groups: they meet rarely and briefly.
struct World {
  std::mutex mutex;
  std::vector<std::weak_ptr<Group>> groups;
  std::vector<std::string> activity;
  std::exception_ptr first_cause;
};

class Arrival final : public Completion {
 public:
  Arrival(Operation operation, std::shared_ptr<Group> group) : Completion(std::move(operation)), group_(std::move(group)) {}
  void overdue() override;

  int color = 0, key = 0;       // of a split
  CommOptions options;
  std::shared_ptr<Group> part;  // its result
  int part_rank = 0;

 private:
  std::shared_ptr<Group> group_;
};

using Slot = std::vector<std::shared_ptr<Arrival>>;

struct Group {
  std::shared_ptr<World> world;
  std::vector<int> world_ranks;
  CommOptions options;
  std::map<std::uint64_t, Slot> slots;
  std::vector<bool> left;
  std::vector<std::uint64_t> passed;  // by rank: the last operation that went another way (pass_by)
  std::string failure;

  int size() const { return static_cast<int>(world_ranks.size()); }

  // Both with the world's mutex held.
  void fail(const std::string& cause, std::exception_ptr error) {
    if (failure.empty()) failure = cause;
    for (auto& [sequence, slot] : slots)
      for (auto& arrival : slot)
        if (arrival) arrival->complete(error);
    slots.clear();
  }
  std::vector<int> absent(std::uint64_t sequence, const Slot& slot) const {
    std::vector<int> ranks;
    for (std::size_t r = 0; r < slot.size(); ++r)
      if (!slot[r] && passed[r] < sequence) ranks.push_back(world_ranks[r]);
    return ranks;
  }
};

void Arrival::overdue() {
  std::lock_guard lock(group_->world->mutex);
  const auto slot = group_->slots.find(operation().sequence);
  if (slot == group_->slots.end()) return;  // completed, or failed, in the meantime; wait() goes on
  const auto late = group_->absent(slot->first, slot->second);
  std::string activities;
  for (int rank : late) {
    const auto& activity = group_->world->activity[static_cast<std::size_t>(rank)];
    if (!activity.empty()) activities += (activities.empty() ? "rank " : "; rank ") + std::to_string(rank) + " was last seen in: " + activity;
  }
  const auto error = deadline_error(operation(), late, {}, activities);
  group_->fail(error.what(), std::make_exception_ptr(error));
}

void copy(char* to, const char* from, std::int64_t bytes) {
  if (bytes && to != from) std::memmove(to, from, static_cast<std::size_t>(bytes));
}

void all_reduce(const Slot& slot) {
  const auto& first = slot[0]->operation();
  const Tensor sum = at::empty_like(first.output);
  std::vector<const void*> sources;
  for (const auto& arrival : slot) sources.push_back(arrival->operation().input_data());
  reduce_in_order(first.output.scalar_type(), first.op, sources, sum.mutable_data_ptr(), sum.numel());
  for (const auto& arrival : slot)
    copy(arrival->operation().output_data(), static_cast<const char*>(sum.const_data_ptr()), static_cast<std::int64_t>(sum.nbytes()));
}

void reduce_scatter(const Slot& slot) {
  const auto& first = slot[0]->operation();
  const auto width = static_cast<std::int64_t>(first.input.element_size());
  const auto offsets = offsets_of(first.send_counts);
  // Through a buffer: an output may be a slice of its rank's input, which other ranks' parts still need.
  std::vector<char> sums(static_cast<std::size_t>(offsets.back() * width));
  std::vector<const void*> sources;
  for (const auto& arrival : slot) sources.push_back(arrival->operation().input_data());
  reduce_in_order(first.input.scalar_type(), first.op, sources, sums.data(), offsets.back());
  for (std::size_t r = 0; r < slot.size(); ++r)
    copy(slot[r]->operation().output_data(), sums.data() + offsets[r] * width, first.send_counts[r] * width);
}

void all_gather(const Slot& slot) {
  const auto& first = slot[0]->operation();
  const auto width = static_cast<std::int64_t>(first.output.element_size());
  const auto offsets = offsets_of(first.send_counts);
  for (const auto& to : slot)
    for (std::size_t r = 0; r < slot.size(); ++r)
      copy(to->operation().output_data() + offsets[r] * width, slot[r]->operation().input_data(), first.send_counts[r] * width);
}

void broadcast(const Slot& slot) {
  const auto& root = slot[static_cast<std::size_t>(slot[0]->operation().root)]->operation();
  for (const auto& to : slot) copy(to->operation().output_data(), root.input_data(), static_cast<std::int64_t>(root.input.nbytes()));
}

void all_to_all(const Slot& slot, const std::vector<int>& ranks) {
  const auto width = static_cast<std::int64_t>(slot[0]->operation().input.element_size());
  for (std::size_t from = 0; from < slot.size(); ++from) {
    const auto& sender = slot[from]->operation();
    const auto offsets = offsets_of(sender.send_counts);
    for (std::size_t to = 0; to < slot.size(); ++to) {
      const auto& receiver = slot[to]->operation();
      if (auto error = pair_disagreement(sender, ranks[from], ranks[to], sender.send_counts[to], receiver.receive_counts[from])) throw *error;
      copy(receiver.output_data() + offsets_of(receiver.receive_counts)[from] * width, sender.input_data() + offsets[to] * width,
           sender.send_counts[to] * width);
    }
  }
}

void split(const Slot& slot, const Group& whole) {
  std::vector<std::size_t> order(slot.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return slot[a]->key < slot[b]->key; });
  std::map<int, std::shared_ptr<Group>> parts;
  for (auto r : order) {
    if (slot[r]->color < 0) continue;
    auto& part = parts[slot[r]->color];
    if (!part) part = std::make_shared<Group>(Group{.world = whole.world, .world_ranks = {}, .options = slot[r]->options, .slots = {}, .left = {}, .passed = {}, .failure = {}});
    slot[r]->part_rank = part->size();
    part->world_ranks.push_back(whole.world_ranks[r]);
    part->left.push_back(false);
    part->passed.push_back(0);
    slot[r]->part = part;
  }
  std::lock_guard lock(whole.world->mutex);
  for (auto& [color, part] : parts) whole.world->groups.push_back(part);
}

void perform(const Slot& slot, const Group& group) {
  std::vector<std::string> descriptions;
  for (const auto& arrival : slot) descriptions.push_back(arrival->operation().description());
  if (auto error = disagreement(slot[0]->operation(), group.world_ranks, descriptions)) throw *error;
  switch (slot[0]->operation().kind) {
    case CommKind::kAllReduce: return all_reduce(slot);
    case CommKind::kReduceScatter: return reduce_scatter(slot);
    case CommKind::kAllGather: return all_gather(slot);
    case CommKind::kBroadcast: return broadcast(slot);
    case CommKind::kAllToAll: return all_to_all(slot, group.world_ranks);
    case CommKind::kBarrier: return;
    case CommKind::kSplit: return split(slot, group);
  }
}

class ThreadsCommunicator final : public Communicator {
 public:
  ThreadsCommunicator(std::shared_ptr<Group> group, int rank, std::string backend)
      : Communicator(rank, group->size(), group->options), group_(std::move(group)), backend_(std::move(backend)) {}

  // Whoever still waits for this rank would wait in vain. On the way out of an error run_threads tells them so, with the cause.
  ~ThreadsCommunicator() override {
    if (std::uncaught_exceptions() > exceptions_) return;
    std::lock_guard lock(group_->world->mutex);
    group_->left[own()] = true;
    for (const auto& [sequence, slot] : group_->slots) {
      if (slot[own()]) continue;
      const auto waiting = std::find_if(slot.begin(), slot.end(), [](const auto& a) { return a != nullptr; });
      fail_left((*waiting)->operation());
      return;
    }
  }

  std::string backend() const override { return backend_; }
  int local_rank() const override { return group_->world_ranks[own()]; }
  int local_size() const override { return static_cast<int>(group_->world->activity.size()); }

  void note(std::string_view activity) override {
    Communicator::note(activity);
    std::lock_guard lock(group_->world->mutex);
    group_->world->activity[static_cast<std::size_t>(local_rank())] = activity;
  }

 protected:
  std::shared_ptr<Pending> start(Operation operation) override { return arrive(std::make_shared<Arrival>(std::move(operation), group_)); }

  std::unique_ptr<Communicator> start_split(Operation operation, int color, int key, CommOptions options) override {
    auto arrival = std::make_shared<Arrival>(std::move(operation), group_);
    arrival->color = color;
    arrival->key = key;
    arrival->options = options;
    arrive(arrival)->wait();
    if (!arrival->part) return nullptr;
    return std::make_unique<ThreadsCommunicator>(arrival->part, arrival->part_rank, backend_);
  }

  void pass_by(std::uint64_t sequence) override {
    std::lock_guard lock(group_->world->mutex);
    group_->passed[own()] = sequence;
  }
  std::string failure() const override {
    std::lock_guard lock(group_->world->mutex);
    return group_->failure;
  }
  void give_up(std::uint64_t, const std::string& cause) override {
    const auto text = "rank " + std::to_string(local_rank()) + " has failed: " + cause;
    std::lock_guard lock(group_->world->mutex);
    group_->fail(text, std::make_exception_ptr(CommError({.who = "communicator", .found = text})));
  }

 private:
  std::size_t own() const { return static_cast<std::size_t>(rank()); }

  void fail_left(const Operation& operation) {
    std::vector<int> gone;
    for (std::size_t r = 0; r < group_->left.size(); ++r)
      if (group_->left[r]) gone.push_back(group_->world_ranks[r]);
    const CommError error({.who = operation.title(),
                           .found = rank_list(gone) + (gone.size() > 1 ? " have" : " has") + " left without entering it",
                           .expected = "all ranks"});
    group_->fail(error.what(), std::make_exception_ptr(error));
  }

  std::shared_ptr<Pending> arrive(std::shared_ptr<Arrival> arrival) {
    Slot complete;
    {
      std::lock_guard lock(group_->world->mutex);
      if (!group_->failure.empty()) throw out_of_use(arrival->operation(), group_->failure);
      auto& slot = group_->slots[arrival->operation().sequence];
      slot.resize(static_cast<std::size_t>(size()));
      slot[own()] = arrival;
      const bool all = std::none_of(slot.begin(), slot.end(), [](const auto& a) { return a == nullptr || a->operation().question; });
      if (all) {
        complete = std::move(slot);
        group_->slots.erase(arrival->operation().sequence);
      }
      for (std::size_t r = 0; r < group_->left.size() && !all; ++r) {
        if (!group_->left[r] || slot[r]) continue;
        fail_left(arrival->operation());
        break;
      }
    }
    if (!complete.empty()) finish(complete);
    return arrival;
  }

  void finish(const Slot& slot) {
    std::exception_ptr error;
    try {
      perform(slot, *group_);
    } catch (const std::exception& e) {
      error = std::current_exception();
      std::lock_guard lock(group_->world->mutex);
      group_->fail(e.what(), error);
    }
    for (const auto& arrival : slot) arrival->complete(error);
  }

  std::shared_ptr<Group> group_;
  std::string backend_;
  int exceptions_ = std::uncaught_exceptions();
};

std::shared_ptr<Group> make_group(int ranks, CommOptions options) {
  auto world = std::make_shared<World>();
  world->activity.resize(static_cast<std::size_t>(ranks));
  auto group = std::make_shared<Group>(Group{.world = world, .world_ranks = {}, .options = options, .slots = {}, .left = {}, .passed = {}, .failure = {}});
  group->world_ranks.resize(static_cast<std::size_t>(ranks));
  std::iota(group->world_ranks.begin(), group->world_ranks.end(), 0);
  group->left.resize(static_cast<std::size_t>(ranks));
  group->passed.resize(static_cast<std::size_t>(ranks));
  world->groups.push_back(group);
  return group;
}

std::string words_of(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& e) {
    return e.what();
  } catch (...) {
    return "an unknown exception";
  }
}

void fail_all(World& world, int rank, std::exception_ptr cause) {
  std::lock_guard lock(world.mutex);
  if (!world.first_cause) world.first_cause = cause;
  const auto text = "rank " + std::to_string(rank) + " has failed: " + words_of(cause);
  for (const auto& weak : world.groups)
    if (auto group = weak.lock()) group->fail(text, std::make_exception_ptr(CommError({.who = "communicator", .found = text})));
}

}  // namespace

std::unique_ptr<Communicator> make_self_communicator(CommOptions options) {
  return std::make_unique<ThreadsCommunicator>(make_group(1, options), 0, "self");
}

void run_threads(int ranks, const std::function<void(Communicator&)>& body, CommOptions options) {
  const auto group = make_group(ranks, options);
  std::vector<std::thread> threads;
  for (int rank = 0; rank < ranks; ++rank) {
    threads.emplace_back([&, rank] {
      ThreadsCommunicator communicator(group, rank, "threads");
      try {
        body(communicator);
      } catch (...) {
        fail_all(*group->world, rank, std::current_exception());
      }
    });
  }
  for (auto& thread : threads) thread.join();
  if (group->world->first_cause) std::rethrow_exception(group->world->first_cause);
}

}  // namespace herd
