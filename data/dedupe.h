#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "data/record.h"

namespace herd {

struct DedupeRequest {
  std::vector<std::string> files;
  std::filesystem::path output;
  double near = 0;           ///< likeness from which on two records are one; 0: the same content alone
  std::size_t examples = 5;  ///< pairs to tell of
  int threads = 0;
};

/// A record that went, and the one that stayed in its place.
struct DuplicatePair {
  Source gone, stayed;
  bool exact = false;
  std::string gone_text, stayed_text;  ///< their beginnings, on one line
};

struct DedupeReport {
  std::vector<std::string> files;
  std::int64_t read = 0, exact = 0, near = 0, written = 0;
  std::vector<DuplicatePair> pairs;  ///< the first, near ones before exact ones
};

/// Writes the records of files but for those that an earlier one is like (data/duplicates.h), as JSON lines in the form that holds all of
/// them; the file appears whole or not at all. Files are read twice; memory keeps a fingerprint of each record, and a sketch where `near`
/// asks for it.
/// @throws what RecordReader throws; DataError where the output is one of the files; ConfigError for a likeness out of (0.3, 1]; IoError
DedupeReport dedupe(const DedupeRequest& request);

}  // namespace herd
