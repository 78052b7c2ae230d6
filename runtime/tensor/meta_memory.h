#pragma once
#include <c10/core/Allocator.h>

#include <cstdint>
#include <functional>
#include <memory>

namespace herd {

/// While it lives, counts what tensors on the meta device would hold if they were real: it stands in front of libtorch's allocator for that
/// device. One at a time, for one thread. Tensors made before do not count; those made meanwhile must not outlive it.
class MetaMemory final : public c10::Allocator {
 public:
  MetaMemory();
  ~MetaMemory() override;
  MetaMemory(const MetaMemory&) = delete;
  MetaMemory& operator=(const MetaMemory&) = delete;

  std::int64_t live() const { return count_->live; }
  /// The most that were live together since the last forget_peak().
  std::int64_t peak() const { return count_->peak; }
  void forget_peak() { count_->peak = count_->live; }
  /// `f` is called whenever the peak rises, after the fact; it makes no tensors.
  void on_peak(std::function<void()> f) { on_peak_ = std::move(f); }

  c10::DataPtr allocate(std::size_t bytes) override;
  c10::DeleterFnPtr raw_deleter() const override { return nullptr; }
  void copy_data(void*, const void*, std::size_t) const override {}

 private:
  struct Count {
    std::int64_t live = 0, peak = 0;
  };
  struct Block {
    std::shared_ptr<Count> count;
    std::int64_t bytes;
  };
  static void release(void* block);

  c10::Allocator* former_;
  std::shared_ptr<Count> count_ = std::make_shared<Count>();
  std::function<void()> on_peak_;
};

}  // namespace herd
