#pragma once
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "parallel/checkpoint/manifest.h"
#include "runtime/base/tensor.h"

namespace herd {

/// A flat range of a tensor that a rank holds: what it saves, or what it wants to read.
struct NamedSlice {
  std::string state;                ///< `value`, `exp_avg`, …
  std::string name;                 ///< of the parameter
  std::vector<std::int64_t> shape;  ///< of the whole parameter
  std::int64_t begin = 0, end = 0;  ///< elements of the flattened parameter
  Tensor value;                     ///< their memory: contiguous, on the CPU, end - begin elements; may be a leaf that requires a gradient
};

/// What one rank writes of a checkpoint, and its part of the manifest.
struct RankFileSlice {
  std::size_t tensor = 0;  ///< index into the manifest's tensors
  NamedSlice slice;
};
struct RankPart {
  StoredFile file;
  std::vector<std::pair<std::size_t, StoredSlice>> slices;  ///< tensor, slice; `file` of the slice is left to the commit
};

/// Writes `slices` as rank `rank`'s file into `folder`, reads it again, byte by byte, and brings it to the disk.
/// @param on_slice called after each slice; may throw to give up. @throws IoError: a full disk, or where what lies there is not what was written.
RankPart write_rank_file(const std::filesystem::path& folder, int rank, std::int64_t step, std::span<const RankFileSlice> slices,
                         const std::function<void()>& on_slice = {});

/// For the done-file.
std::string pack_part(const RankPart& part);
RankPart unpack_part(const std::string& text);

/// Fills `into` from a checkpoint's files, whichever ranks wrote them. A slice is read whole and its checksum compared, also where only
/// a part is wanted. @throws IoError naming file and tensor. What was filled before stays filled.
void read_slices(const std::filesystem::path& checkpoint, const Manifest& manifest, std::span<const NamedSlice> into);

/// Hands on a stored tensor's values in order, in pieces of some MiB: it need not fit into memory. A slice's checksum is compared when its
/// last piece has been handed on. @throws IoError naming file and tensor.
void read_pieces(const std::filesystem::path& checkpoint, const Manifest& manifest, const StoredTensor& tensor,
                 const std::function<void(const Tensor& piece)>& take);

/// Reads all bytes of a checkpoint and compares all checksums. @throws IoError naming the file, and the tensor where one is hit.
void verify_files(const std::filesystem::path& checkpoint, const Manifest& manifest);
/// That all files are there with their sizes.
void check_sizes(const std::filesystem::path& checkpoint, const Manifest& manifest);

}  // namespace herd
