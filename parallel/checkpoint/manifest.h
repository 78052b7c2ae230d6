#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace herd {

/// What a checkpoint belongs to, by name: `base model`, `tokenizer`, `template`, `adapter`, … "" says that it is not known.
using Fingerprints = std::map<std::string, std::string>;
/// Names that begin so tell which file it is where `data` differs; alone they say nothing.
inline constexpr const char* kDataFile = "data file";

/// Elements [begin, end) of a flattened tensor, as one dataset of a rank's file.
struct StoredSlice {
  std::size_t file = 0;  ///< index into Manifest::files
  std::string dataset;
  std::uint64_t offset = 0;  ///< of its first byte in the file
  std::int64_t begin = 0, end = 0;
  std::string checksum;  ///< `fingerprint` of its bytes, little-endian
};

/// A logical tensor: never a range of ranks. Its slices tile it, in order.
struct StoredTensor {
  std::string state;  ///< `value`, `exp_avg`, …
  std::string name;   ///< of the parameter
  std::vector<std::int64_t> shape;
  std::string dtype;  ///< as dtype_name gives it
  std::vector<StoredSlice> slices;

  std::int64_t elements() const;
  /// `exp_avg of model.norm.weight`, for messages.
  std::string title() const { return state + " of " + name; }
};

struct StoredFile {
  std::string name;
  std::uint64_t bytes = 0;
  std::string checksum;  ///< of the whole file
};

/// `manifest.json` of a checkpoint: all that is not a tensor, and where each tensor lies.
struct Manifest {
  static constexpr int kVersion = 1;

  std::string herd;  ///< version of the program that wrote it
  std::int64_t step = 0;
  std::string time;  ///< utc_now() of the commit
  int ranks = 1;     ///< that wrote it
  std::int64_t incarnation = 0;
  std::optional<double> held_out_loss;
  Fingerprints fingerprints;
  std::string config;        ///< the run's, YAML
  std::string state = "{}";  ///< the trainer's, a JSON object; read again with its keys sorted
  std::vector<StoredFile> files;
  std::vector<StoredTensor> tensors;

  std::uint64_t bytes() const;  ///< of all files
};

inline constexpr const char* kManifestName = "manifest.json";

/// Ends with a checksum of itself. @throws IoError where `state` is no JSON object.
std::string to_json(const Manifest& manifest);
/// @param path for messages. @throws IoError: no JSON, cut off, a byte changed, a newer format, slices that do not tile their tensor.
Manifest parse_manifest(const std::string& text, const std::filesystem::path& path);
/// That of a checkpoint's folder. @throws IoError, also where it is missing.
Manifest read_manifest(const std::filesystem::path& checkpoint);

/// @throws ConfigError naming each fingerprint in which the checkpoint and the run differ: which, found, expected. One that the run does
/// not know ("", or absent) is not compared.
void compare_fingerprints(const Fingerprints& stored, const Fingerprints& run, const std::filesystem::path& checkpoint);

}  // namespace herd
