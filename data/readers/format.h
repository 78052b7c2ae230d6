#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "data/readers/json_record.h"
#include "data/record.h"
#include "runtime/base/registry.h"

namespace herd {

/// What one record of a file turns into. Its place in the file is filled in by the reader.
struct Parsed {
  std::vector<Record> records;
  bool without_input = false;      ///< no field `input`, or null in it, where the format has one
  std::int64_t dropped_turns = 0;  ///< turns before the first of the user, left out as FastChat does
};

/// A way that files of records are written. What is wrong with a record is thrown as RecordFault.
struct RecordFormat {
  std::string description;
  std::string looks_like;                                           ///< how it is recognised, in words
  std::vector<std::vector<std::string>> told_by{};                  ///< in JSON: the fields that tell it, all of one of these lists
  std::vector<std::string> never_with{};                            ///< fields that tell another one
  bool last_resort = false;                                         ///< told by a field that others have beside their own
  void (*read_object)(const Json& object, Parsed& out) = nullptr;   ///< where it is written as JSON
  void (*read_line)(std::string_view line, Parsed& out) = nullptr;  ///< where each line is a record
};

/// `csv` and `tsv` have neither function: their rows are made objects of `alpaca` by the header and ReadOptions::columns.
const Table<RecordFormat>& record_formats();

/// The name of the one format that a record's fields tell.
/// @throws RecordFault where they tell none, or several.
std::string recognise(const Json& object);

}  // namespace herd
