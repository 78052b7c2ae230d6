#include "data/format/csv_rows.h"

namespace herd {
namespace {

constexpr std::size_t kLongestField = 131072;

bool begins_character(char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }

std::size_t characters(std::string_view text) {
  std::size_t count = 0;
  for (const char c : text) count += begins_character(c);
  return count;
}

}  // namespace

bool CsvRows::next(std::vector<std::string>& row) {
  row.clear();
  field_.clear();
  row_ = &row;
  state_ = State::kStart;
  std::string line;
  if (!lines_.next(line)) return false;
  begin_ = lines_.line();
  if (line.empty()) return true;
  for (;;) {
    for (const char c : line) take(c);
    if (characters(field_) > kLongestField)
      throw lines_.error_at(begin_, "a field of more than 131,072 characters", "shorter ones",
                            "is there a quote without its end in the row that begins here?");
    if (state_ != State::kQuoted) break;
    if (lines_.ended()) field_ += '\n';
    if (!lines_.next(line)) break;
  }
  end_field();
  return true;
}

void CsvRows::take(char c) {
  if (state_ == State::kQuoted) {
    if (c == '"') state_ = State::kQuoteInQuoted;
    else field_ += c;
  } else if (c == '\t') {
    end_field();
  } else if (c == '"' && state_ == State::kStart) {
    state_ = State::kQuoted;
  } else {
    state_ = state_ == State::kQuoteInQuoted && c == '"' ? State::kQuoted : State::kPlain;
    field_ += c;
  }
}

void CsvRows::end_field() {
  row_->push_back(std::move(field_));
  field_.clear();
  state_ = State::kStart;
}

}  // namespace herd
