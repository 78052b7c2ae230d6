#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace herd {

/// A cell of a table, and how many rows and columns of the grid it takes.
struct TableCell {
  std::string text;
  std::int64_t rowspan = 1, colspan = 1;

  bool merged() const { return rowspan > 1 || colspan > 1; }
};

/// Rows of cells, those of the header first. As in HTML, a row lists the cells that begin in it: a place that a merged cell covers is not
/// listed.
struct DataTable {
  std::vector<std::vector<TableCell>> header, rows;

  bool has_merged_cells() const;
  /// Columns of the grid. @throws DataError where rows have different widths, cells overlap, or one reaches below the last row; `who`
  /// begins the message.
  std::int64_t columns(const std::string& who) const;
};

/// A pipe table. Without a header row it has an empty one, since Markdown wants one. `|` and `\` get a backslash, line ends become `<br>`.
/// The table has no merged cells and one header row at most.
std::string to_markdown(const DataTable& table);

/// `<table>` with one line a row, `<th>` in the header; rowspan and colspan where they are not 1; `&`, `<`, `>` and line ends escaped.
std::string to_html(const DataTable& table);

/// Markdown; HTML where the table has merged cells or several header rows, which Markdown cannot say.
std::string render(const DataTable& table);

/// Writes files of JSON objects (docs/data-formats.md has the schema: header, rows, title, question, answer, instruction, table_type,
/// task_type, dataset) as alpaca lines with `input` = table, title and question; category = task_type; table_type, task_type and dataset
/// are kept beside it.
/// @return records written
/// @throws DataError with file, line and record; for an output that is an input; IoError
std::int64_t format_tables(const std::vector<std::filesystem::path>& files, const std::filesystem::path& output);

}  // namespace herd
