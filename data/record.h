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

/// user, assistant, thought, call, tool, text.
const char* role_name(Role role);

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

/// What reading came to.
struct ReadReport {
  std::int64_t records = 0;
  std::int64_t without_input = 0;      ///< records that have no field `input`, or null in it, where their format has one
  std::int64_t dropped_turns = 0;      ///< of ShareGPT: turns before the first of a human, left out
  std::int64_t broken = 0;             ///< records left out because they could not be read
  std::vector<std::string> reasons{};  ///< of the first of these, each with file, line and record
};

/// Records of one or more files, in the files' order.
struct Records {
  std::vector<std::string> files;
  std::vector<Record> records;
  std::int64_t without_input = 0;  ///< as in the report
  ReadReport report{};
};

/// `alpaca.json:13 (record 4)`, for messages.
std::string describe(const Source& source, std::span<const std::string> files);

}  // namespace herd
