#pragma once
#include "runtime/tensor/safetensors.h"

namespace herd {

/// One open file that torch.save wrote (PyTorch 1.6 or later: a zip archive): a state_dict, or a checkpoint that holds one under `model`,
/// `state_dict` or the like. Nothing in it is executed (pickle.h). The prefix `module.` or `_orig_mod.` of a wrapped model is taken off where all
/// names have it. `metadata` is empty.
class TorchFile : public WeightFile {
 public:
  /// @throws IoError naming the file, and tensor or function: not a zip archive, cut off, broken, compressed; a pickle of other things than
  /// tensors; a tensor outside its storage, a storage that is missing or of another length; another byte order.
  explicit TorchFile(std::filesystem::path path);
};

/// Whether the file starts as those that TorchFile reads, or refuses with advice: a zip archive or a bare pickle.
bool is_torch_file(const std::filesystem::path& path);

/// Writes a dict of tensors as torch.save would, whole or not at all; each has a storage of its own. Values pass through in pieces.
/// @throws IoError, ShapeError as stream_safetensors; also for a dtype that no kind of storage has.
void stream_torch_file(const std::filesystem::path& path, const std::vector<TensorToWrite>& tensors);

}  // namespace herd
