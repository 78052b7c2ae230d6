#include "data/format/table.h"

#include <fmt/format.h>

#include <algorithm>

#include "runtime/base/error.h"

namespace herd {
namespace {

using Rows = std::vector<std::vector<TableCell>>;

/// Every character of `text` that has another form, in that form.
template <class Form>
std::string escaped(std::string_view text, const Form& form) {
  std::string out;
  for (const char c : text) {
    if (const char* other = form(c)) out += other;
    else out += c;
  }
  return out;
}

const char* in_markdown(char c) {
  switch (c) {
    case '|': return "\\|";
    case '\\': return "\\\\";
    case '\n': return "<br>";
    default: return nullptr;
  }
}

const char* in_html(char c) {
  switch (c) {
    case '&': return "&amp;";
    case '<': return "&lt;";
    case '>': return "&gt;";
    case '\n': return "<br>";
    default: return nullptr;
  }
}

std::string markdown_row(const std::vector<TableCell>& row) {
  std::string line = "|";
  for (const auto& cell : row) line += " " + escaped(cell.text, in_markdown) + " |";
  return line;
}

std::string html_row(const std::vector<TableCell>& row, const char* tag) {
  std::string line = "<tr>";
  for (const auto& cell : row) {
    line += fmt::format("<{}", tag);
    if (cell.rowspan > 1) line += fmt::format(" rowspan=\"{}\"", cell.rowspan);
    if (cell.colspan > 1) line += fmt::format(" colspan=\"{}\"", cell.colspan);
    line += fmt::format(">{}</{}>", escaped(cell.text, in_html), tag);
  }
  return line + "</tr>\n";
}

/// Lays the cells of one part on its grid: `below[c]` says for how many more rows column c is taken from above.
class Grid {
 public:
  Grid(const std::string& who, std::int64_t columns) : who_(who), below_(static_cast<std::size_t>(columns)) {}

  void row(const std::vector<TableCell>& cells) {
    ++row_;
    std::size_t column = 0;
    for (const auto& cell : cells) {
      while (column < below_.size() && below_[column] > 0) ++column;
      for (std::int64_t i = 0; i < cell.colspan; ++i, ++column) {
        if (column == below_.size()) fail("more cells than the first row");
        if (below_[column] > 0) fail("a cell over one that reaches down from above");
        below_[column] = cell.rowspan;
      }
    }
    if (std::ranges::find(below_, 0) != below_.end()) fail("fewer cells than the first row");
    for (auto& rows : below_) --rows;
  }
  void end() const {
    if (std::ranges::any_of(below_, [](std::int64_t rows) { return rows > 0; })) fail("a cell that reaches below the last row of its part");
  }

 private:
  [[noreturn]] void fail(const std::string& found) const {
    throw DataError({.who = who_,
                     .found = fmt::format("{} (table row {})", found, row_),
                     .expected = fmt::format("{} columns in every row", below_.size()),
                     .remedy = "a row lists the cells that begin in it; rowspan and colspan say how far they reach"});
  }

  const std::string& who_;
  std::vector<std::int64_t> below_;
  int row_ = 0;
};

}  // namespace

bool DataTable::has_merged_cells() const {
  const auto merged = [](const auto& row) { return std::ranges::any_of(row, &TableCell::merged); };
  return std::ranges::any_of(header, merged) || std::ranges::any_of(rows, merged);
}

std::int64_t DataTable::columns(const std::string& who) const {
  std::int64_t columns = 0;
  for (const auto& cell : header.empty() ? rows.at(0) : header[0]) columns += cell.colspan;
  for (const auto* part : {&header, &rows}) {
    Grid grid(who, columns);
    for (const auto& row : *part) grid.row(row);
    grid.end();
  }
  return columns;
}

std::string to_markdown(const DataTable& table) {
  const auto width = (table.header.empty() ? table.rows : table.header).at(0).size();
  auto text = markdown_row(table.header.empty() ? std::vector<TableCell>(width) : table.header[0]) + "\n|";
  for (std::size_t i = 0; i < width; ++i) text += " --- |";
  for (const auto& row : table.rows) text += "\n" + markdown_row(row);
  return text;
}

std::string to_html(const DataTable& table) {
  std::string text = "<table>\n";
  for (const auto& row : table.header) text += html_row(row, "th");
  for (const auto& row : table.rows) text += html_row(row, "td");
  return text + "</table>";
}

std::string render(const DataTable& table) {
  return table.has_merged_cells() || table.header.size() > 1 ? to_html(table) : to_markdown(table);
}

}  // namespace herd
