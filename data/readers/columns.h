#pragma once
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "data/readers/json_record.h"

namespace herd {

/// Which column of a table, or field of a foreign object, is which field of `alpaca`: {instruction: Question, output: Answer}.
using Columns = std::map<std::string, std::string>;

/// @throws ConfigError where a key is not one of system, instruction, input, output, category, language, weight, or two of these are
/// missing: instruction and output.
void check_columns(const Columns& columns);

/// The object with the fields that `columns` gives it. @throws RecordFault where a column for instruction or output is missing.
Json renamed(const Json& object, const Columns& columns);

/// The fields of a row. Those of comma-separated values may be quoted. @throws RecordFault where the quotes do not fit.
std::vector<std::string> row_fields(std::string_view row, char separator);

/// The first row of a table.
class Header {
 public:
  /// @throws RecordFault where it lacks a column of `columns`, or, without those, the names instruction and output.
  Header(std::string_view row, char separator, const Columns& columns);

  /// A row as an object of `alpaca`. @throws RecordFault where it has more or fewer fields than the header, or a weight that is no number.
  Json object_of(std::string_view row) const;
  const std::vector<std::string>& names() const { return names_; }

 private:
  char separator_;
  std::vector<std::string> names_;
  std::vector<std::pair<std::string, std::size_t>> places_;  // field, column
};

/// Whether names of fields stand in it.
bool is_header(std::string_view row, char separator);

}  // namespace herd
