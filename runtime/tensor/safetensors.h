#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/tensor/weight_file.h"

// Hugging Face's safetensors (https://github.com/huggingface/safetensors, "Format"): 8 bytes little-endian length, a JSON header of
// {name: {dtype, shape, data_offsets}}, then the tensors' bytes side by side without holes.
namespace herd {

/// One open safetensors file; its header is checked whole when it opens.
class SafetensorsFile : public WeightFile {
 public:
  /// @throws IoError naming file and tensor: cut off, broken or too long header, unknown dtype, bytes that overlap, leave holes or do not
  /// fit the shape.
  explicit SafetensorsFile(std::filesystem::path path);

 private:
  void parse(std::string_view header, std::uint64_t data_start, std::uint64_t data_bytes);
  void check_side_by_side(std::uint64_t data_start, std::uint64_t data_bytes) const;
};

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

/// Whether they can stand in one file. @throws ShapeError: twice the same name, a dtype that safetensors lack, no values.
void check_writable(const std::filesystem::path& path, const std::vector<TensorToWrite>& tensors);

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
