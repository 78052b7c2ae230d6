#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "runtime/base/file.h"
#include "runtime/base/tensor.h"

namespace herd {

/// A tensor in a file, before its bytes are read.
struct TensorInfo {
  at::ScalarType dtype = at::kFloat;
  std::vector<std::int64_t> shape;
  std::uint64_t bytes = 0;             ///< of its elements
  std::uint64_t offset = 0;            ///< of the first one, from the start of the file
  std::vector<std::int64_t> strides{};  ///< in elements, where they do not lie row by row; else empty
};

/// Rows that a tensor is read by: the size of its first dimension; a scalar is one.
std::int64_t rows_of(const TensorInfo& info);

/// Bytes of a tensor of this shape, or nothing where the product overflows.
std::optional<std::uint64_t> bytes_of(const std::vector<std::int64_t>& shape, at::ScalarType dtype);

/// One open file of named tensors, whatever its format: the formats differ in their constructors (SafetensorsFile, TorchFile), which check all
/// that is said about the tensors. Tensors are memory-mapped one at a time as they are asked for; ranks of a node share their pages.
/// Reading is safe from several threads.
class WeightFile {
 public:
  const std::filesystem::path& path() const { return file_->path(); }
  std::vector<std::string> names() const;  ///< sorted
  bool contains(const std::string& name) const { return tensors_.contains(name); }
  /// @throws IoError for a name it does not hold, with the nearest one it does.
  const TensorInfo& info(const std::string& name) const;
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

  /// Copies the tensor into its place, with conversion where the dtypes differ.
  /// @param destination contiguous, on the CPU, of the tensor's shape; may be a leaf that requires a gradient. @throws ShapeError, IoError.
  void read_into(const std::string& name, Tensor destination) const;
  /// The tensor, contiguous, on the file's own pages, no copy (one where the file lays it misaligned or not row by row); it outlives this
  /// object. Writing into it changes no file.
  Tensor view(const std::string& name) const;
  /// Rows [begin, end) of its first dimension, as `view`; of what is laid with strides no other rows are copied.
  Tensor rows(const std::string& name, std::int64_t begin, std::int64_t end) const;

  /// Fills `out` (1-d, contiguous, on the CPU) with its elements from `begin` on, row by row, converted to out's dtype. The quickest way
  /// into fresh memory: without conversion the bytes go there straight from the page cache, by several threads.
  void read(const std::string& name, std::int64_t begin, const Tensor& out) const;

  /// Reads all of it against the checksums that the format stores; safetensors have none. @throws IoError naming what differs.
  void verify() const;

 protected:
  explicit WeightFile(std::filesystem::path path);
  /// `FILE: tensor 'NAME'`, the subject of an error.
  std::string who(const std::string& name) const;

  struct Checksum {
    std::string of;
    std::uint64_t offset, bytes;
    std::uint32_t crc;
  };
  std::shared_ptr<File> file_;
  std::map<std::string, TensorInfo> tensors_;
  std::map<std::string, std::string> metadata_;
  std::vector<Checksum> checksums_;

 private:
  Tensor mapped(const std::string& name) const;
};

}  // namespace herd
