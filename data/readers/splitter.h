#pragma once
#include <cstdint>
#include <memory>
#include <string>

#include "data/readers/text_input.h"

namespace herd {

/// The bytes of one record, not yet looked into, and the line it begins on.
struct RecordSlice {
  std::string text;
  std::uint32_t line = 0;
};

/// Finds where one record ends and the next begins, and nothing else: what is wrong inside of a record stays inside of it.
class Splitter {
 public:
  virtual ~Splitter() = default;
  /// The next record; false at the end.
  /// @throws what TextInput::more throws; RecordFault, with its line counted from the file's first, where the file itself ends or goes on
  /// as it must not.
  virtual bool next(RecordSlice& slice) = 0;
};

/// The elements of a JSON array, the lines of JSON lines, or JSON objects one behind another over any number of lines: as the text begins.
std::unique_ptr<Splitter> split_json(TextInput& in);
/// Every line with something on it, without its end.
std::unique_ptr<Splitter> split_lines(TextInput& in);
/// The rows of comma-separated values: a quoted field may go over several lines (RFC 4180).
std::unique_ptr<Splitter> split_csv(TextInput& in);

}  // namespace herd
