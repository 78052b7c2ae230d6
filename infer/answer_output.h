#pragma once
#include <filesystem>
#include <map>

#include "data/readers/reader.h"
#include "infer/answer_parts.h"

namespace herd {

/// Writes records with their answers as JSON lines, in the records' order; the file appears whole or not at all. A line is the record's own object with `generated`,
/// `finish` and `new_tokens` behind its fields, where it is JSON and one record; else instruction, input and output, or messages, as herd writes records.
/// @param options with which the records were read. @param answers by record; records without one are left out.
/// @throws DataError where `output` is one of the files, or these are no longer what was read; IoError.
void write_answers(const std::filesystem::path& output, const Records& records, const ReadOptions& options, const std::map<std::size_t, StoredAnswer>& answers);

}  // namespace herd
