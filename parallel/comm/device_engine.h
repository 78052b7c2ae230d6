#pragma once
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "parallel/comm/device_link.h"

namespace herd {

/// The ranks of one DeviceCommunicator.
struct DeviceGroup {
  std::unique_ptr<DeviceLink> link;
  at::Device device = at::kCPU;
  CommOptions options{};
  int rank = 0, size = 1;
  /// What the host's communicator knows of a failure; empty: none.
  std::function<std::string()> host_failure;
  /// Asks the other ranks about an overdue operation, and puts the host's communicator out of use on all of them. @return what they say.
  std::function<CommError(const Operation&)> ask;
  /// Puts the host's communicator out of use, so that every rank hears of it.
  std::function<void(std::uint64_t sequence, const std::string& cause)> tell;

  std::string failure() const {
    std::lock_guard lock(mutex);
    return cause;
  }
  mutable std::mutex mutex;
  std::string cause;  ///< why the group is out of use
};

/// One device operation: what the caller waits for.
class DeviceTask final : public Completion {
 public:
  DeviceTask(Operation operation, std::shared_ptr<DeviceGroup> group) : Completion(std::move(operation)), group(std::move(group)) {}

  /// Returns when the caller's device work from now on comes after the operation.
  void wait() override;
  bool done() const override;
  /// Returns when the device has done it.
  void wait_for_device() { Completion::wait(); }

  const std::shared_ptr<DeviceGroup> group;
  std::shared_ptr<DeviceMark> ready;  ///< behind what the caller had given the device when it entered
  std::function<void()> action;       ///< in place of a collective: a split

  // The engine's.
  void issued(std::shared_ptr<DeviceMark> mark);
  void fail(std::exception_ptr error);
  std::shared_ptr<DeviceMark> mark() const;

 private:
  bool has_failed() const;
  void overdue() override;
  std::chrono::milliseconds grace() const override { return std::chrono::seconds(8); }

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::shared_ptr<DeviceMark> mark_;
  bool failed_ = false;
};

/// The one thread of this process that hands devices their operations, in the order of submit(), whatever the group: devices of
/// different ranks then meet them in one order too, as they must not to wait for each other for ever.
class DeviceEngine {
 public:
  DeviceEngine();
  ~DeviceEngine();

  /// @throws CommError where the group is out of use.
  void submit(std::shared_ptr<DeviceTask> task);
  /// Returns when nothing of the group is under way and its link is gone. `at_once`: what is under way fails.
  void leave(const std::shared_ptr<DeviceGroup>& group, bool at_once);

 private:
  void run();
  void issue(const std::shared_ptr<DeviceTask>& task);
  bool look();
  void examine(DeviceTask& task) const;
  void fail(const std::shared_ptr<DeviceTask>& task, const std::exception& error);
  void give_up(const std::shared_ptr<DeviceGroup>& group, const std::string& cause, const std::shared_ptr<DeviceTask>& first);

  std::mutex mutex_;  // of the next three
  std::condition_variable changed_;
  std::deque<std::function<void()>> inbox_;
  bool stopping_ = false;

  std::deque<std::shared_ptr<DeviceTask>> under_way_;  // the thread's, in order
  std::thread thread_;
};

}  // namespace herd
