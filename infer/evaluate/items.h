#pragma once
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/record.h"
#include "infer/evaluate/task.h"

namespace herd {

/// A record of a file as its task puts it.
struct EvaluationItem {
  std::string name;                   ///< its place, for errors: `test.json:3 (record 2)`
  std::optional<std::string> prompt;  ///< text as it is, examples before it; else `record` goes through the template
  Record record;
  std::vector<std::string> choices;
  std::size_t right = 0;              ///< which of them
  std::string reference, category;
  std::string question, options;      ///< for the file of answers
};

/// The records of `data`: JSON (an array, or lines), comma-separated values (*.csv; a first row that names the task's fields is a header), or whole
/// files of text. @param examples where shots come from: the first of a record's category, or of all where the task has none. @param limit so many of each file; 0: all.
/// @throws IoError; DataError with file and record where one is broken, lacks a field (one that is null lacks too), is no UTF-8, has an empty text, no right choice or too few examples, or a file is empty.
std::vector<EvaluationItem> read_items(const EvaluationTask& task, std::span<const std::string> data, std::span<const std::string> examples, std::int64_t limit);

}  // namespace herd
