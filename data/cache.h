#pragma once
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "data/load_listener.h"
#include "runtime/base/waiting_lock.h"

namespace herd {

/// Fingerprints of files' contents, on up to `threads` threads. @param all reads all of it; else size, beginning, middle and end, of a MiB each.
/// @throws IoError, and what `listener` throws.
std::vector<std::string> file_fingerprints(const std::vector<std::string>& files, int threads, bool all = true, const LoadListener& listener = {});

/// What decides a dataset's examples: files, template, tokenizer, and the options that matter. Packing and order do not: they come later.
std::string dataset_key(const DataOptions& options, const std::vector<ResolvedSet>& sets, const Dataset& dataset);

/// Where options say that this dataset is to be kept; empty: nowhere.
std::filesystem::path cache_folder(const DataOptions& options, const std::vector<std::string>& files);

/// A dataset in a folder: `KEY/{about.json, train.examples, held_out.examples}`. It is whole or not there: it is made beside its place and then moved.
class DatasetCache {
 public:
  /// @throws IoError where the folder cannot be made.
  DatasetCache(const std::filesystem::path& folder, const std::string& key);

  /// Fills in examples and reports, if they are there. What is there and not whole is said, and counts as absent.
  bool read(Dataset& out) const;
  /// Keeps others from making the same meanwhile.
  WaitingLock lock(const LoadListener& listener = {}) const;
  /// @param make fills `out` and the folder that it is given. @throws what it throws, then nothing is left; IoError.
  void write(Dataset& out, const std::function<void(const std::filesystem::path& staging)>& make) const;

 private:
  std::filesystem::path folder_, place_;
};

}  // namespace herd
