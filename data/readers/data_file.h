#pragma once
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "data/readers/columns.h"
#include "data/readers/format.h"
#include "data/readers/splitter.h"

namespace herd {

/// A file of records: they are found one after another, and parsed in any order.
class DataFile {
 public:
  /// @param format a name in record_formats(), or empty
  /// @throws IoError; DataError where the format cannot be told, or is one that must be formatted first
  DataFile(const std::string& path, const std::string& format, const Columns& columns);

  /// The next record, not yet looked into; false at the end. @throws IoError, DataError, RecordFault
  bool next(RecordSlice& slice);
  std::uint32_t found() const { return found_; }
  /// The format's name; empty until it is told.
  const std::string& format() const { return name_; }
  /// Whether its records are written as JSON objects.
  bool holds_json() const { return json_; }
  /// The names of a JSON record's fields, or of the table's columns; none in a file of lines. @throws RecordFault
  std::vector<std::string> fields(const RecordSlice& slice) const;

  /// Tells the format by the first of these records that is an object, where nothing has told it yet; `tried` counts up to it.
  /// @throws RecordFault where it tells none
  void settle(std::span<const RecordSlice> slices, std::size_t& tried);

  /// Safe to call on several threads. @throws RecordFault
  Parsed parse(const RecordSlice& slice) const;

 private:
  void refuse_cot();
  void read_header();
  std::string told_by_name_or_line(const std::string& path);
  Parsed parse_object(const Json& object) const;

  TextInput in_;
  const Columns& columns_;
  std::unique_ptr<Splitter> splitter_;
  std::optional<Header> header_;
  std::string name_;  // of the format; empty until it is known
  const RecordFormat* format_ = nullptr;
  bool json_ = false, asked_for_ = false;
  std::uint32_t found_ = 0;
};

}  // namespace herd
