#pragma once
#include <cstdint>
#include <filesystem>
#include <vector>

#include "data/tokenizer/tokenizer.h"

namespace herd {

/// Rows of tokens of one length: what a model is shown, or measured on.
using TokenWindows = std::vector<std::vector<std::int64_t>>;

/// The tokens of a file, one text after another: all of a text file, or the records of a `.json` or `.jsonl` file (data/readers/reader.h), each its instruction,
/// input and answer on lines of their own. @throws IoError, DataError as their readers do.
std::vector<std::int64_t> read_tokens(const std::filesystem::path& file, const Tokenizer& tokenizer);

/// What `herd quantize` looks at, and what it measures on.
struct Calibration {
  TokenWindows shown, held_out;
};

/// `samples` windows of `tokens` each, spread evenly over the file and no more than cover it once; and as many at most of `evaluate`, side by side: of the
/// last tenth of the file, which is not shown then, where none is given.
/// @throws DataError where a file is too short for a window.
Calibration read_calibration(const std::filesystem::path& file, const std::filesystem::path& evaluate, std::int64_t samples, std::int64_t tokens,
                             const Tokenizer& tokenizer);

}  // namespace herd
