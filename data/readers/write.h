#pragma once
#include <filesystem>
#include <ostream>
#include <span>
#include <string>

#include "data/record.h"

namespace herd {

/// How records are written, one JSON object a line. The reader tells the two apart, and reads either back to the very same records (but for
/// `source`).
enum class WrittenAs {
  kInstructions,  ///< `alpaca`: records of one plain question and answer each, which every other tool knows
  kMessages,      ///< `openai` with herd's own roles beside OpenAI's: anything that a reader makes
};

/// kInstructions where it can hold all of them. A file is written in one way, so parts of it must agree beforehand.
WrittenAs written_as(std::span<const Record> records);

/// A record as a line, without its end.
std::string record_line(const Record& record, WrittenAs as);

void write_records(std::ostream& out, std::span<const Record> records);
/// Replaces the file in one step. @throws IoError
void write_records(const std::filesystem::path& path, std::span<const Record> records);

}  // namespace herd
