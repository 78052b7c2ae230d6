#pragma once
#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>

namespace herd::test {

/// While it lives, counts what tensors on the CPU hold, in all threads: it stands in front of libtorch's allocator. One at a time.
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

  std::int64_t live() const { return live_; }
  std::int64_t peak() const { return peak_; }
  void forget_peak() { peak_ = live_.load(); }

  // The size stands before the block: libtorch wants a pointer that is its own context.
  c10::DataPtr allocate(std::size_t bytes) override {
    auto* memory = static_cast<char*>(std::aligned_alloc(kAlign, kAlign + (bytes + kAlign - 1) / kAlign * kAlign));
    if (!memory) throw std::bad_alloc();
    const auto size = static_cast<std::int64_t>(bytes);
    std::memcpy(memory, &size, sizeof(size));
    const auto now = live_ += size;
    for (auto peak = peak_.load(); now > peak && !peak_.compare_exchange_weak(peak, now);) {}
    return {memory + kAlign, memory + kAlign, &release, c10::Device(c10::DeviceType::CPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &release; }
  void copy_data(void* to, const void* from, std::size_t bytes) const override { default_copy_data(to, from, bytes); }

 private:
  static constexpr std::size_t kAlign = 64;
  static CountingAllocator*& self() {
    static CountingAllocator* current = nullptr;
    return current;
  }
  static void release(void* block) {
    auto* memory = static_cast<char*>(block) - kAlign;
    std::int64_t size = 0;
    std::memcpy(&size, memory, sizeof(size));
    if (self()) self()->live_ -= size;
    std::free(memory);
  }

  c10::Allocator* former_;
  std::atomic<std::int64_t> live_ = 0, peak_ = 0;
};

}  // namespace herd::test
