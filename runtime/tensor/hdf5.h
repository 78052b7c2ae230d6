#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "runtime/base/tensor.h"

// HDF5 files of flat tensors (The HDF Group, HDF5 1.10 reference). Little-endian; dtypes that HDF5 has no type for (BF16, F16, BOOL) lie as
// unsigned integers of their width. The attribute `dtype` of each dataset tells (dtype_name).
namespace herd {

/// A file being written. The library reports a full disk at H5Dwrite alone and then closes in peace: so every call is checked,
/// and what it wrote is worth nothing until `finish` has returned, it was read again and is on the disk (File::sync).
class Hdf5Writer {
 public:
  /// Replaces the file. @throws IoError.
  explicit Hdf5Writer(std::filesystem::path path);
  ~Hdf5Writer();  ///< without `finish`: leaves an empty file
  Hdf5Writer(const Hdf5Writer&) = delete;
  Hdf5Writer& operator=(const Hdf5Writer&) = delete;

  /// A text of the file itself.
  void attribute(const std::string& name, const std::string& text);
  /// A dataset, new in this file; the groups of its path are made.
  /// @param flat contiguous CPU tensor, written in its order as one dimension; any stored dtype but complex and fp8.
  /// @param on_piece is shown the bytes piece by piece, just before each is written: what looks at them finds them in the cache again.
  /// @throws IoError, ShapeError.
  using OnPiece = std::function<void(const void* bytes, std::size_t count)>;
  void write(const std::string& dataset, const Tensor& flat, const std::map<std::string, std::string>& attributes = {},
             const OnPiece& on_piece = {});
  /// Flushes and closes.
  void finish();

 private:
  struct Handle;
  std::filesystem::path path_;
  std::unique_ptr<Handle> file_;
  bool finished_ = false;
};

/// A dataset in a file.
struct Hdf5Info {
  at::ScalarType dtype = at::kFloat;
  std::int64_t elements = 0;
  std::uint64_t offset = 0;  ///< of its first byte in the file: values lie there side by side, little-endian; 0 where there are none
};

/// A file that is read; several readers may have one file open. Nearly all broken files throw, but a few changed bytes in HDF5's own
/// structures crash the library (1.10): where a file's bytes are in doubt, compare a checksum first.
class Hdf5Reader {
 public:
  /// @throws IoError where it is missing, cut off or no HDF5 file.
  explicit Hdf5Reader(std::filesystem::path path);
  ~Hdf5Reader();
  Hdf5Reader(const Hdf5Reader&) = delete;
  Hdf5Reader& operator=(const Hdf5Reader&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::string attribute(const std::string& name) const;
  /// The paths of all datasets, sorted, as `write` got them.
  std::vector<std::string> datasets() const;
  Hdf5Info info(const std::string& dataset) const;
  /// Elements [begin, begin + destination.numel()) of a dataset straight into `destination`.
  /// @param destination contiguous, on the CPU, of the dataset's dtype; may be a leaf that requires a gradient. @throws IoError,
  /// ShapeError.
  void read(const std::string& dataset, std::int64_t begin, Tensor destination) const;

 private:
  struct Handle;
  std::filesystem::path path_;
  std::unique_ptr<Handle> file_;
};

}  // namespace herd
