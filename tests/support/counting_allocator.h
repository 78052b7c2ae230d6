#pragma once
#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>

namespace herd::test {

/// While it lives, counts what tensors on the CPU hold, in all threads or by the thread that made them: it stands in front of libtorch's
/// allocator. One at a time.
class CountingAllocator final : public c10::Allocator {
 public:
  CountingAllocator() : former_(c10::GetCPUAllocator()) {
    self() = this;
    c10::SetCPUAllocator(this, 255);
  }
  ~CountingAllocator() override {
    c10::SetCPUAllocator(former_, 255);
    self() = nullptr;
  }

  struct Count {
    std::atomic<std::int64_t> live = 0, peak = 0;
    void forget_peak() { peak = live.load(); }
    void add(std::int64_t bytes) {
      const auto now = live += bytes;
      for (auto before = peak.load(); now > before && !peak.compare_exchange_weak(before, now);) {}
    }
  };

  std::int64_t live() const { return all_.live; }
  std::int64_t peak() const { return all_.peak; }
  void forget_peak() { all_.forget_peak(); }
  /// Of what this thread has made.
  static Count& of_this_thread() {
    thread_local Count count;
    return count;
  }

  // What is known of it stands before the block: libtorch wants a pointer that is its own context.
  c10::DataPtr allocate(std::size_t bytes) override {
    auto* memory = static_cast<char*>(std::aligned_alloc(kAlign, kAlign + (bytes + kAlign - 1) / kAlign * kAlign));
    if (!memory) throw std::bad_alloc();
    const Block block{static_cast<std::int64_t>(bytes), &of_this_thread()};
    std::memcpy(memory, &block, sizeof(block));
    all_.add(block.bytes);
    block.maker->add(block.bytes);
    return {memory + kAlign, memory + kAlign, &release, c10::Device(c10::DeviceType::CPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &release; }
  void copy_data(void* to, const void* from, std::size_t bytes) const override { default_copy_data(to, from, bytes); }

 private:
  static constexpr std::size_t kAlign = 64;
  // A thread ends after the memory that it made is gone, or nobody counts any more.
  struct Block {
    std::int64_t bytes;
    Count* maker;
  };
  static CountingAllocator*& self() {
    static CountingAllocator* current = nullptr;
    return current;
  }
  static void release(void* begin) {
    auto* memory = static_cast<char*>(begin) - kAlign;
    Block block{};
    std::memcpy(&block, memory, sizeof(block));
    if (self()) self()->all_.live -= block.bytes, block.maker->live -= block.bytes;
    std::free(memory);
  }

  c10::Allocator* former_;
  Count all_;
};

}  // namespace herd::test
