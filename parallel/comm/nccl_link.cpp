// libherd_cuda: DeviceLink over NCCL and CUDA. The only file that sees nccl.h. Compiled by CI; see docs/cuda.md for what has run.
#include <ATen/Context.h>
#include <ATen/ops/empty.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <cuda_runtime_api.h>
#include <fmt/format.h>
#include <nccl.h>

#include <atomic>
#include <cstring>
#include <thread>

#include "parallel/comm/cuda_module.h"
#include "parallel/comm/nccl_reduce.h"
#include "runtime/base/log.h"

namespace herd {
namespace {

// Between two looks at a library that is still busy with a call.
constexpr auto kLook = std::chrono::microseconds(50);
// How long the end of a healthy communicator may take; its ranks come to it together.
constexpr auto kParting = std::chrono::seconds(20);

void need(cudaError_t code, const char* call) {
  if (code == cudaSuccess) return;
  throw CommError({.who = call, .found = fmt::format("{} ({})", cudaGetErrorString(code), cudaGetErrorName(code)), .expected = "success"});
}

std::string words(ncclResult_t code, ncclComm_t comm) {
  const char* last = comm ? ncclGetLastError(comm) : nullptr;
  return fmt::format("{}{}{}", ncclGetErrorString(code), last && *last ? ": " : "", last ? last : "");
}

void need(ncclResult_t code, const char* call, ncclComm_t comm = nullptr) {
  if (code == ncclSuccess || code == ncclInProgress) return;
  throw CommError({.who = call, .found = words(code, comm), .expected = "success", .remedy = "NCCL_DEBUG=WARN makes NCCL tell more"});
}

// NCCL's calls return before they are done (blocking = 0); this waits, and lets others end the wait.
void settle(ncclComm_t comm, const char* call, const std::function<void()>& patience) {
  for (;;) {
    ncclResult_t state = ncclSuccess;
    need(ncclCommGetAsyncError(comm, &state), call, comm);
    if (state == ncclSuccess) return;
    need(state, call, comm);
    if (patience) patience();
    std::this_thread::sleep_for(kLook);
  }
}

ncclConfig_t without_blocking() {
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  return config;
}

/// An event on a stream.
class CudaMark final : public DeviceMark {
 public:
  explicit CudaMark(const c10::cuda::CUDAStream& stream) : device_(stream.device_index()) {
    const c10::cuda::CUDAGuard guard(device_);
    need(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming), "cudaEventCreate");
    need(cudaEventRecord(event_, stream.stream()), "cudaEventRecord");
  }
  ~CudaMark() override {
    const auto code = cudaEventDestroy(event_);
    if (code != cudaSuccess) static_cast<void>(cudaGetLastError());
  }
  bool reached() override {
    const auto code = cudaEventQuery(event_);
    if (code == cudaErrorNotReady) {
      static_cast<void>(cudaGetLastError());
      return false;
    }
    need(code, "cudaEventQuery");
    return true;
  }
  void order_caller() override { order(c10::cuda::getCurrentCUDAStream(device_)); }
  void order(const c10::cuda::CUDAStream& stream) {
    const c10::cuda::CUDAGuard guard(device_);
    need(cudaStreamWaitEvent(stream.stream(), event_, 0), "cudaStreamWaitEvent");
  }

 private:
  const c10::DeviceIndex device_;
  cudaEvent_t event_ = nullptr;
};

DeviceNumber number_of(at::ScalarType dtype) {
  switch (dtype) {
    case at::kFloat: return DeviceNumber::kFloat;
    case at::kDouble: return DeviceNumber::kDouble;
    case at::kBFloat16: return DeviceNumber::kBFloat16;
    case at::kHalf: return DeviceNumber::kHalf;
    case at::kLong: return DeviceNumber::kLong;
    case at::kInt: return DeviceNumber::kInt;
    case at::kByte: case at::kBool: return DeviceNumber::kByte;  // sums of bool never get here
    default: throw ShapeError({.who = "reduction", .found = c10::toString(dtype), .expected = "a dtype that collectives take"});
  }
}

DeviceReduction reduction_of(ReduceOp op) {
  return op == ReduceOp::kSum ? DeviceReduction::kSum : op == ReduceOp::kMax ? DeviceReduction::kMax : DeviceReduction::kMin;
}

class NcclLink final : public DeviceLink {
 public:
  /// @param comm settled. All links of a process share one stream: NCCL's kernels of several communicators wait for each other for ever
  /// where devices run them in different orders.
  NcclLink(ncclComm_t comm, c10::cuda::CUDAStream stream) : comm_(comm), stream_(stream) {}

  ~NcclLink() override {
    if (aborted_) return;
    try {
      part();
    } catch (const std::exception& e) {
      log_warning("a group of GPUs did not part in order: {}", e.what());
      abort();
    }
  }

  at::Device device() const override { return stream_.device(); }

  std::shared_ptr<DeviceMark> mark_caller() override {
    return std::make_shared<CudaMark>(c10::cuda::getCurrentCUDAStream(stream_.device_index()));
  }
  std::shared_ptr<DeviceMark> mark() override { return std::make_shared<CudaMark>(stream_); }

  void begin(DeviceMark& ready, std::function<void()> patience) override {
    static_cast<CudaMark&>(ready).order(stream_);
    patience_ = std::move(patience);
  }

  // Allocated on the stream that uses it, so that the allocator gives it away again only behind that use.
  Tensor scratch(std::int64_t bytes) override {
    const c10::cuda::CUDAStreamGuard guard(stream_);
    return at::empty({bytes}, at::TensorOptions().dtype(at::kByte).device(device()));
  }

  void exchange(std::span<const Message> messages) override {
    grouped("ncclSend and ncclRecv", [&] {
      for (const auto& m : messages) {
        const auto bytes = static_cast<std::size_t>(m.bytes);
        if (m.way == Message::kSend) need(ncclSend(m.memory, bytes, ncclUint8, m.peer, comm_, stream_.stream()), "ncclSend", comm_);
        else need(ncclRecv(m.memory, bytes, ncclUint8, m.peer, comm_, stream_.stream()), "ncclRecv", comm_);
      }
    });
  }
  void all_gather(const char* own, char* all, std::int64_t bytes) override {
    grouped("ncclAllGather", [&] {
      need(ncclAllGather(own, all, static_cast<std::size_t>(bytes), ncclUint8, comm_, stream_.stream()), "ncclAllGather", comm_);
    });
  }
  void broadcast(char* memory, std::int64_t bytes, int root) override {
    grouped("ncclBroadcast", [&] {
      need(ncclBroadcast(memory, memory, static_cast<std::size_t>(bytes), ncclUint8, root, comm_, stream_.stream()), "ncclBroadcast", comm_);
    });
  }
  void copy(char* to, const char* from, std::int64_t bytes) override {
    const c10::cuda::CUDAGuard guard(stream_.device_index());
    need(cudaMemcpyAsync(to, from, static_cast<std::size_t>(bytes), cudaMemcpyDeviceToDevice, stream_.stream()), "cudaMemcpyAsync");
  }
  void reduce(at::ScalarType dtype, ReduceOp op, const Parts& parts, char* output, std::int64_t elements) override {
    const c10::cuda::CUDAGuard guard(stream_.device_index());
    need(reduce_on_device(number_of(dtype), reduction_of(op), parts.gathered, parts.stride, parts.count, parts.own_rank, parts.own, output,
                          elements, stream_.stream()),
         "the reduction on the GPU");
  }

  std::string failure() override {
    if (aborted_) return "given up";
    ncclResult_t state = ncclSuccess;
    const auto code = ncclCommGetAsyncError(comm_, &state);
    if (code != ncclSuccess) return "ncclCommGetAsyncError: " + words(code, comm_);
    return state == ncclSuccess || state == ncclInProgress ? "" : "NCCL: " + words(state, comm_);
  }

  void abort() override {
    if (aborted_.exchange(true)) return;
    need(ncclCommAbort(comm_), "ncclCommAbort");
  }

  std::unique_ptr<DeviceLink> split(int color, int key, const std::vector<int>& members, std::function<void()> patience) override {
    const c10::cuda::CUDAGuard guard(stream_.device_index());
    auto config = without_blocking();
    ncclComm_t part = nullptr;
    need(ncclCommSplit(comm_, members.empty() ? NCCL_SPLIT_NOCOLOR : color, key, &part, &config), "ncclCommSplit", comm_);
    settle(comm_, "ncclCommSplit", patience);  // `part` is there once the parent is done
    if (members.empty()) return nullptr;
    settle(part, "ncclCommSplit", patience);
    return std::make_unique<NcclLink>(part, stream_);
  }

 private:
  // One NCCL operation. With blocking = 0 it stands in the stream's queue only when NCCL has come to its end.
  template <class Calls>
  void grouped(const char* call, Calls calls) {
    if (aborted_) throw CommError({.who = call, .found = "the group of GPUs is given up"});
    const c10::cuda::CUDAGuard guard(stream_.device_index());
    need(ncclGroupStart(), "ncclGroupStart");
    try {
      calls();
    } catch (...) {
      static_cast<void>(ncclGroupEnd());
      throw;
    }
    need(ncclGroupEnd(), call, comm_);
    settle(comm_, call, patience_);
  }

  void part() {
    const c10::cuda::CUDAGuard guard(stream_.device_index());
    const auto until = Clock::now() + kParting;
    need(ncclCommFinalize(comm_), "ncclCommFinalize", comm_);
    settle(comm_, "ncclCommFinalize", [&] {
      if (Clock::now() > until) throw CommError({.who = "ncclCommFinalize", .found = "the other ranks have not come to their end"});
    });
    need(ncclCommDestroy(comm_), "ncclCommDestroy");
  }

  ncclComm_t comm_;
  c10::cuda::CUDAStream stream_;
  std::function<void()> patience_;
  std::atomic<bool> aborted_ = false;
};

std::string unique_id() {
  ncclUniqueId id;
  need(ncclGetUniqueId(&id), "ncclGetUniqueId");
  return {id.internal, sizeof id.internal};
}

std::unique_ptr<DeviceLink> connect(const std::string& id, int rank, int size, int device, std::function<void()> patience) {
  try {
    at::globalContext().lazyInitDevice(at::kCUDA);
    c10::cuda::set_device(static_cast<c10::DeviceIndex>(device));
  } catch (const c10::Error& e) {
    throw ConfigError({.who = "device cuda", .found = fmt::format("CUDA does not start on device {} ({})", device, e.what_without_backtrace()),
                       .expected = "a driver that is new enough for this libtorch's CUDA",
                       .remedy = "nvidia-smi names the newest CUDA that the driver can do"});
  }
  ncclUniqueId wire;
  if (id.size() != sizeof wire.internal) throw CommError({.who = "NCCL's id", .found = fmt::format("{} bytes", id.size()), .expected = fmt::format("{}", sizeof wire.internal)});
  std::memcpy(wire.internal, id.data(), id.size());
  auto config = without_blocking();
  ncclComm_t comm = nullptr;
  need(ncclCommInitRankConfig(&comm, size, wire, rank, &config), "ncclCommInitRank");
  try {
    settle(comm, "ncclCommInitRank", patience);
  } catch (...) {
    static_cast<void>(ncclCommAbort(comm));
    throw;
  }
  return std::make_unique<NcclLink>(comm, c10::cuda::getStreamFromPool(true, static_cast<c10::DeviceIndex>(device)));
}

}  // namespace
}  // namespace herd

extern "C" const herd::CudaModule* herd_cuda_module() {
  static const herd::CudaModule module{.version = herd::kCudaModuleVersion, .unique_id = herd::unique_id, .connect = herd::connect,
                                       .kernels = &herd::cuda_kernels()};
  return &module;
}
