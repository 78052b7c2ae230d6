#pragma once
#include <filesystem>
#include <string>

namespace herd {

struct Inspection {
  std::string text;
  bool good = true;  ///< herd would load it
};

/// What a model's folder holds and whether herd would load it: family, files, parameters by kind, number formats, tokenizer, what is
/// missing or not expected. Reads headers alone; with `check` every value too (checksums where the format has them, NaN, infinity).
/// @throws IoError, ConfigError where nothing can be said of it: no config, broken files.
Inspection inspect_model(const std::filesystem::path& folder, bool check);

}  // namespace herd
