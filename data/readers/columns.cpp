#include "data/readers/columns.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "data/readers/fault.h"
#include "runtime/base/error.h"
#include "runtime/base/text.h"

namespace herd {
namespace {

const std::vector<std::string>& field_names() {
  static const std::vector<std::string> names{"instruction", "input", "output", "system", "category", "language", "weight"};
  return names;
}

bool needed(const std::string& field) { return field == "instruction" || field == "output"; }

Json value_of(const std::string& field, std::string text) {
  if (field != "weight") return text;
  if (text.empty()) return nullptr;
  double weight = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), weight);
  if (error != std::errc() || end != text.data() + text.size())
    throw RecordFault{.found = "the weight '" + text + "'", .expected = "a number"};
  return weight;
}

[[noreturn]] void no_column(const std::string& column, const std::vector<std::string>& there) {
  const auto close = nearest(column, there);
  throw RecordFault{.found = fmt::format("no column '{}' among {}", column, join(there)),
                    .expected = "the columns that data columns: names",
                    .remedy = close.empty() ? "" : "did you mean '" + close + "'?"};
}

}  // namespace

void check_columns(const Columns& columns) {
  if (columns.empty()) return;
  for (const auto& [field, column] : columns) {
    if (std::find(field_names().begin(), field_names().end(), field) != field_names().end()) continue;
    const auto close = nearest(field, field_names());
    throw ConfigError({.who = "data columns",
                       .found = "no such field as '" + field + "'",
                       .expected = "one of " + join(field_names()),
                       .remedy = close.empty() ? "" : "did you mean '" + close + "'?"});
  }
  for (const auto& field : field_names())
    if (needed(field) && !columns.contains(field))
      throw ConfigError(
          {.who = "data columns", .found = "no column for '" + field + "'", .expected = "at least instruction and output", .remedy = ""});
}

Json renamed(const Json& object, const Columns& columns) {
  if (!object.is_object()) return object;
  Json out = Json::object();
  for (const auto& [field, column] : columns) {
    if (const auto at = object.find(column); at != object.end()) {
      out[field] = *at;
    } else if (needed(field)) {
      std::vector<std::string> names;
      for (const auto& [name, value] : object.items()) names.push_back(name);
      no_column(column, names);
    }
  }
  return out;
}

std::vector<std::string> row_fields(std::string_view row, char separator) {
  std::vector<std::string> fields;
  for (std::size_t at = 0;; ++at) {  // `at` stands behind a separator
    std::string field;
    if (separator == ',' && at < row.size() && row[at] == '"') {
      for (++at;; ++at) {
        if (at == row.size()) throw RecordFault{.found = "a quoted field that is not closed", .expected = "a closing quote"};
        if (row[at] == '"' && (++at == row.size() || row[at] != '"')) break;
        field += row[at];
      }
      if (at < row.size() && row[at] != separator)
        throw RecordFault{.found = fmt::format("text after the closing quote of field {}", fields.size() + 1),
                          .expected = "a comma, or the row's end"};
    } else {
      const auto end = std::min(row.find(separator, at), row.size());
      field = row.substr(at, end - at);
      at = end;
    }
    fields.push_back(std::move(field));
    if (at >= row.size()) return fields;
  }
}

Header::Header(std::string_view row, char separator, const Columns& columns) : separator_(separator) {
  require_text(row);
  names_ = row_fields(row, separator);
  const auto& names = names_;
  for (const auto& field : field_names()) {
    if (!columns.empty() && !columns.contains(field)) continue;
    const auto column = columns.empty() ? field : columns.at(field);
    const auto at = std::find(names.begin(), names.end(), column);
    if (at != names.end()) {
      if (std::find(at + 1, names.end(), column) != names.end())
        throw RecordFault{.found = "column '" + column + "' twice", .expected = "each column once"};
      places_.emplace_back(field, at - names.begin());
    } else if (!columns.empty()) {
      no_column(column, names);
    } else if (needed(field)) {
      throw RecordFault{.found = "a header without '" + field + "': " + join(names),
                        .expected = "columns named instruction and output",
                        .remedy = "say which is which: data columns: {instruction: …, output: …}"};
    }
  }
}

Json Header::object_of(std::string_view row) const {
  require_text(row);
  auto fields = row_fields(row, separator_);
  if (fields.size() != names_.size())
    throw RecordFault{.found = fmt::format("{} columns", fields.size()), .expected = fmt::format("{}, as the header has", names_.size())};
  Json out = Json::object();
  for (const auto& [field, column] : places_) out[field] = value_of(field, std::move(fields[column]));
  return out;
}

bool is_header(std::string_view row, char separator) {
  const auto names = row_fields(row, separator);
  return std::all_of(field_names().begin(), field_names().end(),
                     [&](const auto& field) { return !needed(field) || std::find(names.begin(), names.end(), field) != names.end(); });
}

}  // namespace herd
