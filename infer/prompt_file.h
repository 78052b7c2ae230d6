#pragma once
#include <optional>
#include <string>
#include <vector>

#include "data/record.h"
#include "infer/request.h"

namespace herd {

/// One record of a file of prompts.
struct Question {
  std::optional<std::string> text;  ///< `prompt`: text as it is; else `record` goes through the template
  Record record;                    ///< `instruction` and `input` (may be missing)
  std::optional<std::string> adapter{};  ///< which one answers it; empty (or null in the file): none
  std::string json;                 ///< the whole record, for the answer's line
  std::string name;                 ///< `prompts.jsonl:3`, or `prompts.json: record 3`
};

/// Reads JSON lines, or a JSON array, of {"prompt": …} or {"instruction": …, "input": …} records, perhaps with
/// `adapter`: a name, or null; other fields are kept.
/// @throws IoError; DataError with file and line or record where one is broken, has both or neither, or a field is no string.
std::vector<Question> read_questions(const std::string& path);

/// The record with its answer, as one line of JSON: its own fields, then `generated`, `finish` (eos, stop, length, context) and `new_tokens`;
/// of a beam search also its `score`, and the same of the `others` where several are returned.
std::string answer_line(const Question& question, const Generation& generation);

}  // namespace herd
