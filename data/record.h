#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace herd {

/// Where a record stands: which of the files, which record of it (from 1), on which line it begins (from 1).
struct Source {
  std::uint32_t file = 0, record = 0, line = 0;
  bool operator==(const Source&) const = default;
};

/// One instruction, the input it works on (empty where there is none) and the answer to learn. All text is valid UTF-8.
struct Record {
  std::string instruction, input, output;
  Source source;
};

/// Records of one or more files, in the files' order.
struct Records {
  std::vector<std::string> files;
  std::vector<Record> records;
  std::int64_t without_input = 0;  ///< records that have no field `input`, or null in it
};

/// `alpaca.json:13 (record 4)`, for messages.
std::string describe(const Source& source, std::span<const std::string> files);

/// Reads files of `{"instruction": …, "input": …, "output": …}` records: a JSON array, or JSON lines (one object a line, blank
/// lines allowed). A file's first character tells which. The fields are strings. `input` may be missing or null, which reads as empty and is counted,
/// unless another field looks like a misspelt one; other fields are ignored.
/// Files are streamed: memory holds the records alone.
/// @throws IoError where a file cannot be read; DataError with file, line and record where a record is broken, lacks a field, has
///         one of another type or twice, or is not UTF-8, and where a file has no record.
Records read_records(std::span<const std::string> paths);

}  // namespace herd
