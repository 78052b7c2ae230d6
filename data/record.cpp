#include "data/record.h"

#include <fmt/format.h>

#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

#include "runtime/base/error.h"
#include "runtime/base/text.h"

namespace herd {
namespace {

using Json = nlohmann::json;

constexpr std::array<const char*, 3> kFields{"instruction", "input", "output"};
constexpr std::size_t kInput = 1;

/// Characters of a stream buffer that count the lines as they pass, so that an error can name the line.
class LineCounter {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = char;

  LineCounter(std::streambuf* buffer, std::uint32_t* line) : buffer_(buffer), line_(line) {}
  char operator*() const { return static_cast<char>(buffer_->sgetc()); }
  LineCounter& operator++() {
    if (buffer_->sbumpc() == '\n') ++*line_;
    return *this;
  }
  bool operator==(const LineCounter& other) const { return at_end() == other.at_end(); }
  bool operator!=(const LineCounter& other) const { return !(*this == other); }

 private:
  bool at_end() const { return !buffer_ || buffer_->sgetc() == std::streambuf::traits_type::eof(); }

  std::streambuf* buffer_;
  std::uint32_t* line_;
};

/// What the parser says, without its own positions and without quoting the file at length.
std::string reason(const Json::exception& error) {
  std::string_view text = error.what();
  if (text.find("ill-formed UTF-8") != text.npos) return "text that is not valid UTF-8";
  if (const auto dash = text.find(" - "); dash != text.npos) text.remove_prefix(dash + 3);
  if (const auto quote = text.find("; last read"); quote != text.npos) text = text.substr(0, quote);
  return "broken JSON (" + std::string(text.substr(0, 160)) + ")";
}

/// Takes the parser's events and keeps the three fields of each record. `depth` of a record's fields: 2 in an array, 1 in lines.
class RecordSink final : public nlohmann::json_sax<Json> {
 public:
  RecordSink(Records& out, std::uint32_t file, int record_depth) : out_(out), record_depth_(record_depth) { current_.source.file = file; }

  void at_line(const std::uint32_t* line) { line_ = line; }
  std::uint32_t records() const { return count_; }

  bool null() override {
    if (depth_ != record_depth_ || field_ < 0 || index() != kInput) return value("null");
    ++out_.without_input;
    return true;
  }
  bool boolean(bool) override { return value("a truth value"); }
  bool number_integer(number_integer_t) override { return value("a number"); }
  bool number_unsigned(number_unsigned_t) override { return value("a number"); }
  bool number_float(number_float_t, const string_t&) override { return value("a number"); }
  bool binary(binary_t&) override { return value("bytes"); }

  bool string(string_t& text) override {
    if (depth_ != record_depth_ || field_ < 0) return value("a string");
    auto& place = *std::array{&current_.turns[0].text, &current_.turns[0].input, &current_.turns[1].text}[index()];
    place = text;  // a copy is as long as the text; the parser's own buffer may be twice that
    return true;
  }

  bool start_object(std::size_t) override {
    if (depth_ + 1 != record_depth_) value("an object");
    if (++depth_ == record_depth_) begin_record();
    return true;
  }
  bool key(string_t& name) override {
    if (depth_ != record_depth_) return true;
    field_ = -1;
    for (std::size_t i = 0; i < kFields.size(); ++i)
      if (name == kFields[i]) field_ = static_cast<int>(i);
    if (field_ < 0) {
      others_.push_back(std::move(name));
    } else if (seen_[index()]) {
      fail(fmt::format("field '{}' twice", name), "each field once");
    } else {
      seen_[index()] = true;
    }
    return true;
  }
  bool end_object() override {
    if (depth_-- == record_depth_) end_record();
    return true;
  }
  bool start_array(std::size_t) override {
    if (depth_ > 0 || record_depth_ == 1) value("an array");
    ++depth_;
    return true;
  }
  bool end_array() override {
    --depth_;
    return true;
  }

  bool parse_error(std::size_t, const std::string&, const Json::exception& error) override {
    current_.source.record = count_ + (depth_ >= record_depth_ ? 0 : 1);
    current_.source.line = *line_;
    fail(reason(error), record_depth_ == 1 ? "one JSON object on each line" : "a JSON array of records");
  }

 private:
  std::size_t index() const { return static_cast<std::size_t>(field_); }

  void begin_record() {
    current_ = instruction_record({}, {}, {}, current_.source);
    current_.source.record = ++count_;
    current_.source.line = *line_;
    seen_ = {};
    others_.clear();
    field_ = -1;
  }

  void end_record() {
    for (std::size_t i = 0; i < kFields.size(); ++i) {
      if (seen_[i]) continue;
      const auto close = nearest(kFields[i], others_);
      if (i == kInput && close.empty()) {
        ++out_.without_input;
        continue;
      }
      fail(fmt::format("no field '{}'", kFields[i]), "the fields 'instruction', 'input' and 'output'",
           close.empty() ? "" : fmt::format("is '{}' meant to be '{}'?", close, kFields[i]));
    }
    out_.records.push_back(current_);
  }

  /// A value that is neither a record nor the text of a field: fine inside other fields, wrong anywhere else.
  bool value(const char* kind) {
    if (depth_ < record_depth_) {
      current_.source.record = count_ + 1;
      current_.source.line = *line_;
      fail(std::string(kind), "a record: an object with the fields 'instruction', 'input' and 'output'");
    }
    if (depth_ == record_depth_ && field_ >= 0)
      fail(fmt::format("{} in field '{}'", kind, kFields[index()]), "a string");
    return true;
  }

  [[noreturn]] void fail(std::string found, std::string expected, std::string remedy = "") const {
    throw DataError({.who = describe(current_.source, out_.files), .found = std::move(found), .expected = std::move(expected),
                     .remedy = std::move(remedy)});
  }

  Records& out_;
  const int record_depth_;
  const std::uint32_t* line_ = nullptr;
  int depth_ = 0;
  int field_ = -1;                    // of kFields, or -1 inside another field
  std::array<bool, 3> seen_{};
  std::vector<std::string> others_;   // the record's other fields, to guess a typing slip
  std::uint32_t count_ = 0;
  Record current_;
};

void skip_byte_order_mark(std::streambuf& in) {
  for (const unsigned char c : {0xef, 0xbb, 0xbf}) {
    if (in.sgetc() != c) return;
    in.sbumpc();
  }
}

void read_array(std::ifstream& in, RecordSink& sink, std::uint32_t line) {
  sink.at_line(&line);
  Json::sax_parse(LineCounter(in.rdbuf(), &line), LineCounter(nullptr, nullptr), &sink);
}

void read_lines(std::ifstream& in, RecordSink& sink, std::uint32_t line) {
  sink.at_line(&line);
  std::string text;
  for (; std::getline(in, text); ++line)
    if (text.find_first_not_of(" \t\r") != text.npos) Json::sax_parse(text, &sink);
}

void read_file(const std::string& path, std::uint32_t file, Records& out) {
  std::ifstream in(path, std::ios::binary);
  if (!in || std::filesystem::is_directory(path))
    throw IoError({.who = path, .found = std::filesystem::is_directory(path) ? "a folder" : std::strerror(errno),
                   .expected = "a readable file of records, as JSON or JSON lines", .remedy = ""});
  skip_byte_order_mark(*in.rdbuf());
  std::uint32_t line = 1;
  for (int c = in.peek(); c == ' ' || c == '\t' || c == '\r' || c == '\n'; c = in.peek())
    if (in.get() == '\n') ++line;
  const bool is_array = in.peek() == '[';
  in.clear(in.rdstate() & ~std::ios::eofbit & ~std::ios::failbit);

  RecordSink sink(out, file, is_array ? 2 : 1);
  is_array ? read_array(in, sink, line) : read_lines(in, sink, line);
  if (in.bad()) throw IoError({.who = path, .found = "a read error", .expected = "", .remedy = ""});
  if (sink.records() == 0)
    throw DataError({.who = path, .found = "no records", .expected = "at least one {instruction, input, output} record", .remedy = ""});
}

}  // namespace

Record instruction_record(std::string instruction, std::string input, std::string output, Source source) {
  Record out;
  out.turns = {{.role = Role::kUser, .text = std::move(instruction), .input = std::move(input)}, {.role = Role::kAssistant, .text = std::move(output)}};
  out.source = source;
  return out;
}

std::string content_of(const Record& record) {
  std::string out = record.system;
  for (const auto& turn : record.turns) {
    out += fmt::format("\x1e{}{}\x1f", static_cast<int>(turn.role), turn.supervised ? *turn.supervised ? "+" : "-" : "");
    out += turn.text + '\x1f' + turn.input;
  }
  return record.rejected.empty() ? out : out + "\x1erejected\x1f" + record.rejected;
}

std::string describe(const Source& source, std::span<const std::string> files) {
  return fmt::format("{}:{} (record {})", files[source.file], source.line, source.record);
}

Records read_records(std::span<const std::string> paths) {
  Records out{.files = {paths.begin(), paths.end()}, .records = {}};
  if (paths.empty())
    throw DataError({.who = "data.sets", .found = "no file", .expected = "at least one file of records", .remedy = ""});
  for (std::size_t file = 0; file < paths.size(); ++file) read_file(paths[file], static_cast<std::uint32_t>(file), out);
  return out;
}

}  // namespace herd
