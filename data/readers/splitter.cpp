#include "data/readers/splitter.h"

#include <string_view>

#include "data/readers/fault.h"
#include "data/readers/json_scan.h"

namespace herd {
namespace {

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n";
  const auto first = text.find_first_not_of(kBlank);
  return first == text.npos ? std::string_view() : text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

RecordFault broken(std::string why, std::string expected, std::uint32_t line) {
  return {.found = "broken JSON (" + why + ")", .expected = std::move(expected), .lines_below = line};
}

/// Other encodings have bytes that look like a backslash or a bracket: then that is what is wrong.
RecordFault not_closed(const TextInput& in) {
  try {
    require_text(in.rest());
  } catch (RecordFault& fault) {
    fault.lines_below += in.line();
    return fault;
  }
  return broken("the record that begins here is not closed where the file ends", "whole records", in.line());
}

class JsonArray final : public Splitter {
 public:
  explicit JsonArray(TextInput& in) : in_(in) { in_.drop(in_.first_visible() + 1); }

  bool next(RecordSlice& slice) override {
    const auto first = in_.first_visible();
    const auto line = in_.line_at(first);
    if (closed_) {
      if (first < in_.rest().size()) throw broken("text after the end of the array", "a JSON array of records and nothing after it", line);
      return false;
    }
    in_.drop(first);
    if (in_.rest().empty()) throw broken("the array is not closed where the file ends", "a JSON array of records", line);
    if (!within_ && in_.rest().front() == ']') {
      in_.drop(1);
      closed_ = true;
      return next(slice);
    }
    take_element(slice);
    return true;
  }

 private:
  /// Up to the comma behind it, or the array's own bracket.
  void take_element(RecordSlice& slice) {
    JsonScan scan;
    std::size_t at = 0;
    for (;;) {
      const auto stop = scan.run(in_.rest(), at);
      if (stop == JsonScan::Stop::kSeparator && in_.rest()[at] != '}') break;
      at += stop == JsonScan::Stop::kSeparator;  // a brace too many spoils this element alone
      if (stop != JsonScan::Stop::kEnd || in_.more()) continue;
      if (!scan.open().empty() || scan.in_string()) throw not_closed(in_);
      break;
    }
    slice = {std::string(trimmed(in_.rest().substr(0, at))), in_.line()};
    const bool at_end = at == in_.rest().size();
    within_ = !at_end && in_.rest()[at] == ',';  // after a comma a bracket is an element that is missing
    closed_ = !at_end && !within_;
    in_.drop(at + (at_end ? 0 : 1));
  }

  TextInput& in_;
  bool within_ = false, closed_ = false;
};

class JsonObjects final : public Splitter {
 public:
  explicit JsonObjects(TextInput& in) : in_(in) {}

  bool next(RecordSlice& slice) override {
    in_.drop(in_.first_visible());
    if (in_.rest().empty()) return false;
    JsonScan scan;
    std::size_t at = 0;
    for (;;) {
      const auto stop = scan.run(in_.rest(), at);
      if (stop == JsonScan::Stop::kClosed) break;
      if (stop == JsonScan::Stop::kSeparator)
        throw broken("a comma or a closing bracket between records", "JSON objects one behind another", in_.line_at(at));
      if (!in_.more()) throw not_closed(in_);
    }
    slice = {std::string(in_.rest().substr(0, at)), in_.line()};
    in_.drop(at);
    return true;
  }

 private:
  TextInput& in_;
};

class Lines final : public Splitter {
 public:
  explicit Lines(TextInput& in) : in_(in) {}

  bool next(RecordSlice& slice) override {
    while (take_line(slice))
      if (!trimmed(slice.text).empty()) return true;
    return false;
  }

 private:
  bool take_line(RecordSlice& slice) {
    std::size_t from = 0, end = 0;
    while ((end = in_.rest().find('\n', from)) == std::string_view::npos) {
      from = in_.rest().size();
      if (in_.more()) continue;
      if (in_.rest().empty()) return false;
      end = in_.rest().size();
      break;
    }
    const auto line = in_.rest().substr(0, end);
    slice = {std::string(line.ends_with('\r') ? line.substr(0, line.size() - 1) : line), in_.line()};
    in_.drop(std::min(end + 1, in_.rest().size()));
    return true;
  }

  TextInput& in_;
};

class CsvRows final : public Splitter {
 public:
  explicit CsvRows(TextInput& in) : in_(in) {}

  bool next(RecordSlice& slice) override {
    while (take_row(slice))
      if (!trimmed(slice.text).empty()) return true;
    return false;
  }

 private:
  bool take_row(RecordSlice& slice) {
    bool quoted = false, may_open = true;
    std::size_t at = 0;
    for (;; ++at) {
      if (at == in_.rest().size() && !in_.more()) {
        if (quoted)
          throw RecordFault{.found = "a quoted field that is not closed where the file ends; its record begins here",
                            .expected = "a closing quote",
                            .lines_below = in_.line()};
        if (at == 0) return false;
        break;
      }
      const char c = in_.rest()[at];
      if (quoted) {
        quoted = c != '"';
        may_open = true;  // a doubled quote closes and opens again
      } else if (c == '"' && may_open) {
        quoted = true;
      } else if (c == '\n') {
        break;
      } else {
        may_open = c == ',';
      }
    }
    const auto row = in_.rest().substr(0, at);
    slice = {std::string(row.ends_with('\r') ? row.substr(0, row.size() - 1) : row), in_.line()};
    in_.drop(std::min(at + 1, in_.rest().size()));
    return true;
  }

  TextInput& in_;
};

/// A first line that is a whole object speaks for JSON lines; so does one that is broken off and has another record below it.
bool one_record_a_line(TextInput& in) {
  JsonScan scan;
  auto at = in.first_visible();
  for (;;) {
    const auto newline = in.rest().find('\n', at);
    if (scan.run(in.rest().substr(0, newline), at) != JsonScan::Stop::kEnd) return true;
    if (newline != std::string_view::npos) break;
    if (!in.more()) return true;
  }
  // JSON has no line ends inside of strings, and an object goes on with a name, or behind a colon.
  if (scan.in_string()) return true;
  const bool value_may_follow = scan.open().back() == '[' || in.rest()[in.rest().find_last_not_of(" \t\r", at - 1)] == ':';
  for (;;) {
    const auto visible = in.rest().find_first_not_of(" \t\r\n", at);
    if (visible != std::string_view::npos) return in.rest()[visible] == '{' && !value_may_follow;
    if (!in.more()) return true;
  }
}

}  // namespace

std::unique_ptr<Splitter> split_json(TextInput& in) {
  const auto first = in.first_visible();
  if (first < in.rest().size() && in.rest()[first] == '[') return std::make_unique<JsonArray>(in);
  if (first < in.rest().size() && in.rest()[first] == '{' && !one_record_a_line(in)) return std::make_unique<JsonObjects>(in);
  return std::make_unique<Lines>(in);
}

std::unique_ptr<Splitter> split_lines(TextInput& in) { return std::make_unique<Lines>(in); }

std::unique_ptr<Splitter> split_csv(TextInput& in) { return std::make_unique<CsvRows>(in); }

}  // namespace herd
