#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>

#include "runtime/base/file.h"

namespace herd {

/// A range of a file in memory, gone with the object. Pages come as they are touched; writing to them changes no file.
class MappedRange {
 public:
  /// @throws IoError where the file does not reach to offset + bytes (any more), or cannot be mapped.
  MappedRange(const File& file, std::uint64_t offset, std::uint64_t bytes);
  ~MappedRange();
  MappedRange(const MappedRange&) = delete;
  MappedRange& operator=(const MappedRange&) = delete;

  void* data() const { return data_; }

 private:
  void* start_ = nullptr;  // of the page
  std::size_t length_ = 0;
  void* data_ = nullptr;
};

/// Bytes of the file now.
std::uint64_t file_bytes(const File& file);

}  // namespace herd
