#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "data/readers/reader.h"

namespace herd {

/// What a file of records is, and its first records as they are read.
struct FileFacts {
  std::string format;               ///< a name in record_formats()
  std::vector<std::string> fields;  ///< of the first record, where it is JSON; the columns of a table
  std::vector<Record> first;
  ReadReport report;
};

/// Reads the whole file, whose records are counted. @throws what RecordReader throws
FileFacts file_facts(const std::string& path, const ReadOptions& options, std::size_t first);

}  // namespace herd
