#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "runtime/base/file.h"
#include "runtime/report/metrics.h"

namespace herd {

/// CRC-32C (Castagnoli; RFC 3720, section 12.1), the checksum of TFRecord framing.
std::uint32_t crc32c(std::string_view bytes);

/// A TFRecord: length (u64), its masked CRC-32C (u32), the bytes, their masked CRC-32C (u32), little-endian.
/// Masked: rotated right by 15 bits, plus 0xa282ead8 (TensorFlow, tfrecord format).
std::string tfrecord(std::string_view bytes);

/// A TensorBoard event file with scalars. Each opening makes a file of its own in the folder; TensorBoard reads them as one run.
class TensorBoardWriter {
 public:
  /// @param resumed_step where a run goes on from: TensorBoard then forgets what earlier files of the folder say of later steps;
  ///        empty for a new run: it forgets all that they say.
  /// @throws IoError
  TensorBoardWriter(const std::filesystem::path& folder, std::optional<std::int64_t> resumed_step);
  /// One event, in one write. @throws IoError (a full disk).
  void write(std::int64_t step, const Scalars& values);
  const std::filesystem::path& path() const { return file_.path(); }

 private:
  File file_;
};

}  // namespace herd
