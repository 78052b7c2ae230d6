#pragma once
#include <memory>
#include <string>
#include <vector>

#include "parallel/comm/device_link.h"

namespace herd {

class DeviceEngine;
class DeviceTask;
struct DeviceGroup;

/// Ranks that have a device each: tensors on the device travel over a DeviceLink, those on the CPU over the host's communicator, which
/// also carries barriers, splits, checks, and the questions and bad news of a failure. The nccl backend is this over NCCL and MPI.
/// One thread a process hands the devices their operations, in the order in which they were entered, over all communicators; it sees to
/// deadlines and looks for errors. Sums run in rank order, as everywhere (docs/decisions/nccl-sums-in-rank-order.md).
class DeviceCommunicator final : public Communicator {
 public:
  /// @param link of all ranks of `host`, this one's place in them the same.
  DeviceCommunicator(std::unique_ptr<Communicator> host, std::unique_ptr<DeviceLink> link, std::string backend);
  /// Operations under way complete first; on the way out of an error they are given up.
  ~DeviceCommunicator() override;

  std::string backend() const override { return backend_; }
  int local_rank() const override { return host_->local_rank(); }
  int local_size() const override { return host_->local_size(); }
  int node_rank() const override { return host_->node_rank(); }
  int node_count() const override { return host_->node_count(); }
  std::vector<at::Device> devices() const override;
  Peer peer(int rank) const override { return host_->peer(rank); }
  void note(std::string_view activity) override;
  [[noreturn]] void abort(int code, std::string_view message) override;

 protected:
  std::shared_ptr<Pending> start(Operation operation) override;
  std::unique_ptr<Communicator> start_split(Operation operation, int color, int key, CommOptions options) override;
  void pass_by(std::uint64_t sequence) override { host_->pass_by(sequence); }
  std::string failure() const override;
  void give_up(std::uint64_t sequence, const std::string& cause) override { host_->give_up(sequence, cause); }

 private:
  DeviceCommunicator(std::unique_ptr<Communicator> host, std::unique_ptr<DeviceLink> link, std::string backend,
                     std::shared_ptr<DeviceEngine> engine, std::vector<int> world_ranks);
  std::shared_ptr<Pending> on_host(Operation operation);
  std::shared_ptr<DeviceTask> submit(Operation operation, std::function<void()> action = {});
  void check(const Operation& operation);
  CommError ask(Operation operation);

  std::unique_ptr<Communicator> host_;
  std::string backend_;
  std::shared_ptr<DeviceEngine> engine_;
  std::shared_ptr<DeviceGroup> group_;
  std::vector<int> world_ranks_;
  int exceptions_;
};

}  // namespace herd
