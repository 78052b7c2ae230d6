#include "runtime/tensor/meta_memory.h"

namespace herd {
namespace {

constexpr std::uint8_t kBeforeAllOthers = 255;

}  // namespace

MetaMemory::MetaMemory() : former_(c10::GetAllocator(c10::kMeta)) { c10::SetAllocator(c10::kMeta, this, kBeforeAllOthers); }
MetaMemory::~MetaMemory() { c10::SetAllocator(c10::kMeta, former_, kBeforeAllOthers); }

c10::DataPtr MetaMemory::allocate(std::size_t bytes) {
  auto block = std::make_unique<Block>(count_, static_cast<std::int64_t>(bytes));
  count_->live += block->bytes;
  if (count_->live > count_->peak) {
    count_->peak = count_->live;
    if (on_peak_) on_peak_();
  }
  return {nullptr, block.release(), &release, c10::Device(c10::kMeta)};
}

void MetaMemory::release(void* block) {
  const std::unique_ptr<Block> owned(static_cast<Block*>(block));
  owned->count->live -= owned->bytes;
}

}  // namespace herd
