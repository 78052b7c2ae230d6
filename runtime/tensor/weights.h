#pragma once
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "runtime/tensor/weight_file.h"

namespace herd {

/// A tensor that is made of others as it is read: put together of shards, its rows in another order.
struct DerivedTensor {
  TensorInfo info;                                                             ///< without offset and strides
  std::function<Tensor(std::int64_t begin, std::int64_t end)> rows;  ///< [begin, end) of the first dimension
};

/// All tensors of a model or adapter, wherever they lie: in one file or in shards, of either format, or made of such.
class Weights {
 public:
  /// @throws IoError where a tensor is in two files.
  explicit Weights(std::vector<WeightFile> files);
  /// @param where what errors call them.
  Weights(std::map<std::string, DerivedTensor> derived, std::filesystem::path where);

  std::vector<std::string> names() const;  ///< sorted
  bool contains(const std::string& name) const { return owner_.contains(name) || derived_.contains(name); }
  /// @throws IoError for an unknown name, as all of the following.
  const TensorInfo& info(const std::string& name) const;
  /// The whole tensor, contiguous; on the file's pages where it lies there as it is.
  Tensor view(const std::string& name) const;
  /// Rows [begin, end) of its first dimension.
  Tensor rows(const std::string& name, std::int64_t begin, std::int64_t end) const;
  /// Fills `out` (1-d) with its elements from `begin` on, row by row, converted to out's dtype.
  void read(const std::string& name, std::int64_t begin, const Tensor& out) const;
  /// Copies it into its place: see WeightFile::read_into.
  void read_into(const std::string& name, Tensor destination) const;

  /// The file that holds it; null for a derived or unknown one.
  const WeightFile* file_of(const std::string& name) const;
  const std::vector<WeightFile>& files() const { return files_; }  ///< none of derived tensors

 private:
  [[noreturn]] void miss(const std::string& name) const;

  std::vector<WeightFile> files_;
  std::map<std::string, std::size_t> owner_;
  std::map<std::string, DerivedTensor> derived_;
  std::filesystem::path where_;
};

/// A file of tensors, its format told by its first bytes. @throws IoError.
WeightFile open_weight_file(const std::filesystem::path& path);

/// Opens the first of these that a folder has: `<stem>.safetensors`, the shards of `<stem>.safetensors.index.json`, `<stem>.bin`, the shards of
/// `<stem>.bin.index.json`; the `.bin` of the stem `model` is called pytorch_model. A path to a file opens that file.
/// @throws IoError where there is none, a shard is missing, or the index names a tensor that its shard does not hold.
Weights open_weights(const std::filesystem::path& folder, const std::string& stem = "model");
/// Whether there is one.
bool has_weights(const std::filesystem::path& folder, const std::string& stem = "model");
/// Which files open_weights would read in a folder of these names; none where it would find no weights.
std::vector<std::string> weight_files_among(const std::vector<std::string>& names, const std::string& stem = "model");

}  // namespace herd
