#pragma once
#include <cstddef>
#include <memory>
#include <string>

namespace herd {

/// The bytes of a file of data, unpacked as they pass.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  /// Up to `size` bytes into `into`, at least one; 0 at the end.
  /// @throws IoError where the file cannot be read; DataError where what packs it is broken, or cut short.
  virtual std::size_t read(char* into, std::size_t size) = 0;
};

/// The file as it is, or unpacked where its first bytes say gzip (of any number of members) or zstd (of any number of frames). Its name
/// plays no part.
/// @throws IoError where it is missing, a folder, or not readable.
std::unique_ptr<ByteSource> open_source(const std::string& path);

}  // namespace herd
