#pragma once
#include <cstdint>
#include <functional>
#include <string_view>

namespace herd {

/// Told, every moment and from any thread, how far the data are: what is being done, and how many records of that are. What it throws ends the
/// loading and leaves nothing behind.
using LoadListener = std::function<void(std::string_view doing, std::int64_t records)>;

inline void tell(const LoadListener& listener, std::string_view doing, std::int64_t records) {
  if (listener) listener(doing, records);
}

}  // namespace herd
