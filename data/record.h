#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace herd {

/// Where a record stands: which of the files, which record of it (from 1), on which line it begins (from 1).
struct Source {
  std::uint32_t file = 0, record = 0, line = 0;
  bool operator==(const Source&) const = default;
};

/// Who speaks. A tool's call and the thoughts before it are the model's own words, like an answer.
enum class Role { kUser, kAssistant, kThought, kCall, kTool, kText };

/// What one speaker says. kText is no conversation: text to go on learning the language from, alone in its record.
struct Turn {
  Role role = Role::kUser;
  std::string text;
  std::string input;  ///< of a user's turn: what `text` is to be applied to, where the record keeps the two apart
  std::optional<bool> supervised = std::nullopt;  ///< whether to learn it, where the record says so; else the template's role and data.train_on do

  bool operator==(const Turn&) const = default;
};

/// A conversation to learn from, and what is known of it. All text is valid UTF-8.
struct Record {
  std::string system;       ///< empty: the template's own
  std::vector<Turn> turns;
  std::string rejected;     ///< of a preference pair: the answer that is not wanted in place of the last turn
  std::string category;     ///< as its file has it; empty: none
  std::string language;     ///< EN, CN, …, as the catalogue writes it; empty: not known
  double weight = 1;        ///< how often an epoch shows it, beside the set's own weight
  Source source;

  bool operator==(const Record&) const = default;
};

/// {instruction, input, output} as a conversation of one question and one answer.
Record instruction_record(std::string instruction, std::string input, std::string output, Source source = {});

/// The record's content as bytes that no other content has: what a split, a duplicate or a fingerprint goes by. Source and weight do not enter.
std::string content_of(const Record& record);

/// Records of one or more files, in the files' order.
struct Records {
  std::vector<std::string> files;
  std::vector<Record> records;
  std::int64_t without_input = 0;  ///< records that have no field `input`, or null in it
};

/// `alpaca.json:13 (record 4)`, for messages.
std::string describe(const Source& source, std::span<const std::string> files);

/// Reads files of `{"instruction": …, "input": …, "output": …}` records: a JSON array, or JSON lines (one object a line, blank
/// lines allowed). A file's first character tells which. The fields are strings. `input` may be missing or null, which reads as empty and is counted,
/// unless another field looks like a misspelt one; other fields are ignored.
/// Files are streamed: memory holds the records alone.
/// @throws IoError where a file cannot be read; DataError with file, line and record where a record is broken, lacks a field, has
///         one of another type or twice, or is not UTF-8, and where a file has no record.
Records read_records(std::span<const std::string> paths);

}  // namespace herd
