#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "parallel/comm/operation.h"

namespace herd {

/// A point in a device's queue of work.
class DeviceMark {
 public:
  virtual ~DeviceMark() = default;
  /// Whether the device has come there. @throws CommError where the device itself has failed.
  virtual bool reached() = 0;
  /// What the calling thread gives the device from now on comes after this point; where a device has no queue, returns when it is reached.
  virtual void order_caller() = 0;
};

/// One rank's end of a group of devices: what the nccl backend needs of NCCL and CUDA, without their types. libherd_cuda implements it
/// (nccl_link.cpp); a test stands in for it. Operations queue up on the device, in the order of the calls; memory that they name must
/// stay until a later mark is reached. But for mark_caller(), failure() and abort() everything is called by one thread.
class DeviceLink {
 public:
  virtual ~DeviceLink() = default;
  virtual at::Device device() const = 0;

  /// A mark behind all that the calling thread has given the device so far.
  virtual std::shared_ptr<DeviceMark> mark_caller() = 0;

  /// The operations that follow wait for `ready`. While the library itself makes one of them wait (for peers to connect), `patience` is
  /// called again and again; what it throws ends the wait.
  virtual void begin(DeviceMark& ready, std::function<void()> patience) = 0;
  /// Memory on the device for the operations that follow.
  virtual Tensor scratch(std::int64_t bytes) = 0;
  struct Message {
    enum Way : bool { kSend, kReceive } way;
    int peer;
    char* memory;  ///< of a message that is sent only read
    std::int64_t bytes;
  };
  /// All of them together. Both sides of a pair name theirs in the same order, with the same bytes.
  virtual void exchange(std::span<const Message> messages) = 0;
  /// `own` of each rank, one after the other, in `all`; `own` may be its place in `all`.
  virtual void all_gather(const char* own, char* all, std::int64_t bytes) = 0;
  virtual void broadcast(char* memory, std::int64_t bytes, int root) = 0;
  virtual void copy(char* to, const char* from, std::int64_t bytes) = 0;
  /// One part a rank; those of the others lie `stride` bytes apart in `gathered`, this rank's own at `own`.
  struct Parts {
    const char* gathered;
    std::int64_t stride;
    int count, own_rank;
    const char* own;
  };
  /// As reduce_in_order (reduce.h) over the parts in rank order. `output` may be `own`.
  virtual void reduce(at::ScalarType dtype, ReduceOp op, const Parts& parts, char* output, std::int64_t elements) = 0;
  /// A mark behind all operations so far.
  virtual std::shared_ptr<DeviceMark> mark() = 0;

  /// What has gone wrong since; empty as long as nothing has.
  virtual std::string failure() = 0;
  /// Ends what is under way, on this rank. The link is out of use then.
  virtual void abort() = 0;
  /// As Communicator::split; `members`: the ranks of the same color, in their new order, empty without a color. Blocks.
  virtual std::unique_ptr<DeviceLink> split(int color, int key, const std::vector<int>& members, std::function<void()> patience) = 0;
};

}  // namespace herd
