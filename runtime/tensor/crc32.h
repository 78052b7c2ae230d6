#pragma once
#include <zlib.h>

#include <cstdint>
#include <string_view>

namespace herd {

/// The checksum of zip archives, of `bytes` after what gave `before`.
inline std::uint32_t crc32_of(std::string_view bytes, std::uint32_t before = 0) {
  return static_cast<std::uint32_t>(crc32_z(before, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size()));
}

}  // namespace herd
