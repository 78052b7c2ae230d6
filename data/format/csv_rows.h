#pragma once
#include <string>
#include <vector>

#include "data/format/line_reader.h"

namespace herd {

/// Rows of a tab-separated file as Python's csv.reader(file, delimiter="\t") gives them: a field that begins with a quote runs to the next
/// lone quote, over tabs and line ends if need be; two quotes inside it are one; what follows its end belongs to it. Other quotes stand for
/// themselves.
class CsvRows {
 public:
  explicit CsvRows(LineReader& lines) : lines_(lines) {}

  /// False at the end of the file. A blank line is a row without fields.
  /// @throws DataError where a field grows past 131,072 characters, Python's limit, which a quote without its end does.
  bool next(std::vector<std::string>& row);

  std::uint32_t line() const { return begin_; }  ///< on which the row begins

 private:
  enum class State { kStart, kPlain, kQuoted, kQuoteInQuoted };
  void take(char c);
  void end_field();

  LineReader& lines_;
  State state_ = State::kStart;
  std::vector<std::string>* row_ = nullptr;
  std::string field_;
  std::uint32_t begin_ = 0;
};

}  // namespace herd
