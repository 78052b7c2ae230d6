#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "data/format/alpaca_lines.h"
#include "data/format/json_objects.h"
#include "data/format/table.h"
#include "data/format/text_output.h"

namespace herd {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::int64_t kMostSpan = 10000;
constexpr const char* kInstruction = "Read the table and answer the question about it.";
constexpr const char* kKept[] = {"table_type", "task_type", "dataset"};

std::int64_t span_of(const JsonObject& cell, const char* key) {
  const auto* span = cell.find(key, "a number");
  if (!span) return 1;
  if (!span->is_number_integer() || *span < 1 || *span > kMostSpan)
    throw cell.error(fmt::format("{} {}", key, span->dump()), fmt::format("a whole number from 1 to {}", kMostSpan));
  return span->get<std::int64_t>();
}

std::string plain_text(const Json& value, const JsonObject& object) {
  if (value.is_null()) return "";
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number() || value.is_boolean()) return value.dump();
  throw object.error(std::string(kind_of(value)) + " as a cell", "text, a number, or {\"text\": …, \"rowspan\": …, \"colspan\": …}");
}

TableCell cell_of(const Json& value, const JsonObject& object) {
  if (!value.is_object()) return {.text = plain_text(value, object)};
  const JsonObject cell(value, object.place());
  for (const auto& [key, ignored] : value.items())
    if (key != "text" && key != "rowspan" && key != "colspan")
      throw cell.error(fmt::format("unknown field '{}' in a cell", key), "text, rowspan, colspan");
  return {.text = value.contains("text") ? plain_text(value["text"], object) : "",
          .rowspan = span_of(cell, "rowspan"),
          .colspan = span_of(cell, "colspan")};
}

std::vector<TableCell> row_of(const Json& row, const JsonObject& object) {
  if (!row.is_array()) throw object.error(std::string(kind_of(row)) + " as a row", "a list of cells");
  std::vector<TableCell> cells;
  for (const auto& cell : row) cells.push_back(cell_of(cell, object));
  return cells;
}

DataTable table_of(const JsonObject& object) {
  DataTable table;
  if (const auto* header = object.find("header", "an array"); header && !header->empty()) {
    const bool several = std::ranges::all_of(*header, [](const Json& item) { return item.is_array(); });
    if (!several) table.header.push_back(row_of(*header, object));
    else
      for (const auto& row : *header) table.header.push_back(row_of(row, object));
  }
  for (const auto& row : object.at("rows", "an array")) table.rows.push_back(row_of(row, object));
  if (table.rows.empty()) throw object.error("a table without rows", "at least one");
  if (table.columns(object.place()) == 0) throw object.error("a table without columns", "at least one");
  return table;
}

Record record_of(const JsonObject& object) {
  auto record = instruction_record(object.text_or("instruction", kInstruction),
                                   fmt::format("Table:\n{}\nTable title:\n{}\nQuestion:\n{}", render(table_of(object)),
                                               object.text_or("title", ""), object.text("question")),
                                   object.text("answer"));
  record.category = object.text_or("task_type", "");
  return record;
}

}  // namespace

std::int64_t format_tables(const std::vector<std::filesystem::path>& files, const std::filesystem::path& output) {
  std::int64_t count = 0;
  write_text(output, files, [&](TextOutput& out) {
    for (const auto& file : files) {
      for_each_object(file, [&](const JsonObject& object) {
        ExtraFields kept;
        for (const char* key : kKept)
          if (object.find(key, "a string")) kept.emplace_back(key, object.text(key));
        out.line(alpaca_line(record_of(object), kept));
        ++count;
      });
    }
  });
  return count;
}

}  // namespace herd
