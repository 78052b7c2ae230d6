#pragma once
#include "parallel/comm/device_link.h"

namespace herd {

/// Hands the device what one collective of ranks `rank` of `size` consists of. Returns before the device has done it.
/// @param piece_bytes bounds the scratch memory of sums to (ranks × this).
void start_on_device(DeviceLink& link, const Operation& operation, int rank, int size, std::int64_t piece_bytes);

}  // namespace herd
