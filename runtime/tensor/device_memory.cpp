#include "runtime/tensor/device_memory.h"

#include <c10/core/CachingDeviceAllocator.h>

namespace herd {

std::int64_t peak_bytes_on(at::Device device) {
  const auto stats = at::getDeviceAllocator(device.type())->getDeviceStats(device.index());
  return stats.allocated_bytes[static_cast<std::size_t>(c10::CachingAllocator::StatType::AGGREGATE)].peak;
}

}  // namespace herd
