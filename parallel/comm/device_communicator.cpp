#include "parallel/comm/device_communicator.h"

#include <fmt/format.h>

#include <cstring>
#include <exception>
#include <numeric>

#include "parallel/comm/device_engine.h"

namespace herd {
namespace {

// What `check` compares: how many elements the sender has for each rank is compared by itself.
constexpr std::int64_t kDescription = 248;

std::vector<int> ranks_of(const Communicator& communicator) {
  std::vector<int> ranks(static_cast<std::size_t>(communicator.size()));
  std::iota(ranks.begin(), ranks.end(), 0);
  return ranks;
}

}  // namespace

DeviceCommunicator::DeviceCommunicator(std::unique_ptr<Communicator> host, std::unique_ptr<DeviceLink> link, std::string backend)
    : DeviceCommunicator(std::move(host), std::move(link), std::move(backend), std::make_shared<DeviceEngine>(), {}) {}

DeviceCommunicator::DeviceCommunicator(std::unique_ptr<Communicator> host, std::unique_ptr<DeviceLink> link, std::string backend,
                                       std::shared_ptr<DeviceEngine> engine, std::vector<int> world_ranks)
    : Communicator(host->rank(), host->size(), host->options()), host_(std::move(host)), backend_(std::move(backend)),
      engine_(std::move(engine)), group_(std::make_shared<DeviceGroup>()), world_ranks_(std::move(world_ranks)),
      exceptions_(std::uncaught_exceptions()) {
  // One flight log and one deadline for both ways; the host's own operations have another number row.
  flight_ = host_->flight_;
  label_ = host_->label_ + "@" + backend_;
  deadline_s_ = host_->deadline_s_;
  if (world_ranks_.empty()) world_ranks_ = ranks_of(*host_);
  group_->device = link->device();
  group_->link = std::move(link);
  group_->options = options();
  group_->rank = rank();
  group_->size = size();
  group_->host_failure = [this] { return host_->failure(); };
  group_->ask = [this](const Operation& operation) { return ask(operation); };
  group_->tell = [this](std::uint64_t sequence, const std::string& cause) { host_->give_up(sequence, cause); };
}

DeviceCommunicator::~DeviceCommunicator() { engine_->leave(group_, std::uncaught_exceptions() > exceptions_); }

std::vector<at::Device> DeviceCommunicator::devices() const {
  if (group_->device.is_cpu()) return {group_->device};
  return {group_->device, at::kCPU};
}

void DeviceCommunicator::note(std::string_view activity) {
  Communicator::note(activity);
  host_->note(activity);
}

void DeviceCommunicator::abort(int code, std::string_view message) {
  host_->abort(code, message);
  std::terminate();  // gcc does not see that a virtual function never returns
}

std::string DeviceCommunicator::failure() const {
  auto cause = group_->failure();
  return cause.empty() ? host_->failure() : cause;
}

std::shared_ptr<Pending> DeviceCommunicator::start(Operation operation) {
  if (const auto cause = group_->failure(); !cause.empty()) throw out_of_use(operation, cause);
  if (operation.kind == CommKind::kBarrier || operation.input.device() != group_->device) return on_host(std::move(operation));
  if (options().check) check(operation);
  operation.sequence = ++host_->sequence_;
  return submit(std::move(operation));
}

// The host numbers what passes through it and what passes by in one row: so it can say who has come how far.
std::shared_ptr<Pending> DeviceCommunicator::on_host(Operation operation) {
  operation.sequence = ++host_->sequence_;
  return host_->start(std::move(operation));
}

std::shared_ptr<DeviceTask> DeviceCommunicator::submit(Operation operation, std::function<void()> action) {
  host_->pass_by(operation.sequence);
  auto task = std::make_shared<DeviceTask>(std::move(operation), group_);
  task->ready = group_->link->mark_caller();
  task->action = std::move(action);
  engine_->submit(task);
  return task;
}

std::unique_ptr<Communicator> DeviceCommunicator::start_split(Operation operation, int color, int key, CommOptions options) {
  if (const auto cause = group_->failure(); !cause.empty()) throw out_of_use(operation, cause);
  operation.sequence = ++host_->sequence_;
  Operation of_host = operation;
  of_host.stats = nullptr;  // counted once, out here
  of_host.flight = nullptr;
  auto part = host_->start_split(std::move(of_host), color, key, options);
  std::vector<int> members, world_ranks;
  if (part) {
    auto ranks = at::empty({part->size()}, at::kInt);
    part->all_gather(ranks, at::full({1}, rank(), at::kInt)).wait();
    members.assign(ranks.const_data_ptr<int>(), ranks.const_data_ptr<int>() + ranks.numel());
    for (int member : members) world_ranks.push_back(world_ranks_[static_cast<std::size_t>(member)]);
  }
  std::unique_ptr<DeviceLink> link;
  const auto deadline = operation.deadline;
  const auto task = submit(std::move(operation), [&] {
    link = group_->link->split(color, key, members, [&] {
      if (Clock::now() > deadline) throw CommError({.who = "split", .found = "no answer from the other devices in time"});
      if (const auto cause = host_->failure(); !cause.empty()) throw CommError({.who = "split", .found = cause});
    });
  });
  task->wait_for_device();
  if (!part) return nullptr;
  return std::unique_ptr<Communicator>(new DeviceCommunicator(std::move(part), std::move(link), backend_, engine_, std::move(world_ranks)));
}

// Through the host, before anything moves on the devices.
void DeviceCommunicator::check(const Operation& operation) {
  const auto n = static_cast<std::size_t>(size());
  auto mine = at::zeros({kDescription}, at::kByte), all = at::zeros({size() * kDescription}, at::kByte);
  const auto description = operation.description();
  std::memcpy(mine.mutable_data_ptr(), description.data(), std::min(description.size(), static_cast<std::size_t>(kDescription - 1)));
  host_->all_gather(all, mine).wait();
  std::vector<std::string> descriptions;
  for (std::size_t r = 0; r < n; ++r)
    descriptions.emplace_back(static_cast<const char*>(all.const_data_ptr()) + r * static_cast<std::size_t>(kDescription));
  auto error = disagreement(operation, world_ranks_, descriptions);
  if (!error && operation.kind == CommKind::kAllToAll) {
    auto sent = at::tensor(operation.send_counts, at::kLong), comes = at::empty({size()}, at::kLong);
    host_->all_to_all(comes, sent).wait();
    for (std::size_t r = 0; r < n && !error; ++r) {
      error = pair_disagreement(operation, world_ranks_[r], world_ranks_[static_cast<std::size_t>(rank())],
                                comes.const_data_ptr<std::int64_t>()[r], operation.receive_counts[r]);
    }
  }
  if (error) throw *error;
}

CommError DeviceCommunicator::ask(Operation operation) {
  operation.question = true;
  operation.deadline = Clock::now();
  operation.stats = nullptr;
  operation.flight = nullptr;
  try {
    host_->start(std::move(operation))->wait();
  } catch (const CommError& e) {
    return e;
  }
  return CommError({.who = "a question to the other ranks", .found = "no answer"});
}

}  // namespace herd
