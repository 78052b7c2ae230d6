#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "runtime/base/file.h"
#include "runtime/base/tensor.h"

// Hugging Face's safetensors (https://github.com/huggingface/safetensors, "Format"): 8 bytes little-endian length, a JSON header of
// {name: {dtype, shape, data_offsets}}, then the tensors' bytes side by side without holes.
namespace herd {

/// A tensor in a file, before its bytes are read.
struct TensorInfo {
  at::ScalarType dtype = at::kFloat;
  std::vector<std::int64_t> shape;
  std::uint64_t bytes = 0;
  std::uint64_t offset = 0;  ///< from the start of the file
};

/// One open file. The header is checked whole when it opens; tensors are memory-mapped one at a time as they are asked for.
/// Reading is safe from several threads.
class SafetensorsFile {
 public:
  /// @throws IoError naming file and tensor: cut off, broken or too long header, unknown dtype, bytes that overlap, leave holes or do not
  /// fit the shape.
  explicit SafetensorsFile(std::filesystem::path path);

  const std::filesystem::path& path() const { return file_->path(); }
  std::vector<std::string> names() const;  ///< sorted
  bool contains(const std::string& name) const { return tensors_.contains(name); }
  /// @throws IoError for a name it does not hold, with the nearest one it does.
  const TensorInfo& info(const std::string& name) const;
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

  /// Copies the tensor into its place, with conversion where the dtypes differ.
  /// @param destination contiguous, on the CPU, of the tensor's shape; may be a leaf that requires a gradient. @throws ShapeError, IoError.
  void read_into(const std::string& name, Tensor destination) const;
  /// The tensor on the file's own pages, no copy (one where the file lays it misaligned); it outlives this object. Writing into it
  /// changes no file.
  Tensor view(const std::string& name) const;

 private:
  std::string who(const std::string& name) const;
  void parse(std::string_view header, std::uint64_t data_start, std::uint64_t data_bytes);
  void check_side_by_side(std::uint64_t data_start, std::uint64_t data_bytes) const;

  std::shared_ptr<File> file_;
  std::map<std::string, TensorInfo> tensors_;
  std::map<std::string, std::string> metadata_;
};

/// All tensors of a model or adapter, in one file or in shards.
class Weights {
 public:
  explicit Weights(std::vector<SafetensorsFile> files);

  std::vector<std::string> names() const;  ///< sorted
  bool contains(const std::string& name) const { return owner_.contains(name); }
  const TensorInfo& info(const std::string& name) const { return file_of(name).info(name); }
  void read_into(const std::string& name, Tensor destination) const { file_of(name).read_into(name, std::move(destination)); }
  Tensor view(const std::string& name) const { return file_of(name).view(name); }
  /// The file that holds the tensor. @throws IoError for an unknown name.
  const SafetensorsFile& file_of(const std::string& name) const;
  const std::vector<SafetensorsFile>& files() const { return files_; }

 private:
  friend Weights open_weights(const std::filesystem::path&, const std::string&);
  std::vector<SafetensorsFile> files_;
  std::map<std::string, std::size_t> owner_;
};

/// Opens `<stem>.safetensors`, or the shards of `<stem>.safetensors.index.json`, of a folder; a path to a file opens that file.
/// @throws IoError where there is neither, a shard is missing, or the index names a tensor that its shard does not hold.
Weights open_weights(const std::filesystem::path& folder, const std::string& stem = "model");

/// Takes a tensor's values piece by piece, in order, as contiguous CPU tensors of its dtype.
using TakePiece = std::function<void(const Tensor& piece)>;

/// A tensor on its way into a file, which need never be in memory whole.
struct TensorToWrite {
  std::string name;
  at::ScalarType dtype = at::kFloat;
  std::vector<std::int64_t> shape;
  std::function<void(const TakePiece& take)> values;  ///< called once, when its place in the file has come

  std::uint64_t bytes() const;
};

using NamedTensors = std::vector<std::pair<std::string, Tensor>>;
using SafetensorsMetadata = std::map<std::string, std::string>;

/// @param tensors of any strides, on any device.
std::vector<TensorToWrite> to_write(const NamedTensors& tensors);

/// Writes the file whole or not at all, laid out as Hugging Face does (byte for byte): by dtype, the widest first, then by name.
/// @throws IoError, ShapeError (twice the same name, a dtype the format lacks, values that are not as announced).
void stream_safetensors(const std::filesystem::path& path, const std::vector<TensorToWrite>& tensors,
                        const SafetensorsMetadata& metadata = {{"format", "pt"}});
void write_safetensors(const std::filesystem::path& path, const NamedTensors& tensors, const SafetensorsMetadata& metadata = {{"format", "pt"}});

/// Writes `<stem>.safetensors`, or, where that were longer than `max_shard_bytes`, `<stem>-00001-of-N.safetensors` … in the order given, and
/// `<stem>.safetensors.index.json`. A tensor is never cut. The other form, left by an earlier call, is removed.
/// @return the files written.
std::vector<std::filesystem::path> stream_sharded_safetensors(const std::filesystem::path& folder, const std::vector<TensorToWrite>& tensors,
                                                              std::uint64_t max_shard_bytes = std::uint64_t{5'000'000'000},
                                                              const std::string& stem = "model");
std::vector<std::filesystem::path> write_sharded_safetensors(const std::filesystem::path& folder, const NamedTensors& tensors,
                                                             std::uint64_t max_shard_bytes = std::uint64_t{5'000'000'000},
                                                             const std::string& stem = "model");

}  // namespace herd
