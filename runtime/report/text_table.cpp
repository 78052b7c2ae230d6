#include "runtime/report/text_table.h"

#include <algorithm>

#include "runtime/report/canvas.h"

namespace herd {
namespace {

// From U+1100 (Hangul) on wide, but for the blocks of U+2000 to U+2FFF, where punctuation, arrows and letters in rings stand. "\xe2" begins
// those.
bool is_wide(const std::string& character) { return character.size() >= 3 && static_cast<unsigned char>(character[0]) >= 0xe3; }

}  // namespace

std::size_t places_of(std::string_view text) {
  std::size_t places = 0;
  for (const auto& character : characters(text)) places += is_wide(character) ? 2 : 1;
  return places;
}

std::string text_table(const std::vector<std::vector<std::string>>& rows, std::string_view sides) {
  std::vector<std::size_t> widths(sides.size());
  for (const auto& row : rows)
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], places_of(row[i]));
  std::string out;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::string blanks(widths[i] - places_of(row[i]), ' ');
      line += (i ? "  " : "") + (sides[i] == 'r' ? blanks + row[i] : row[i] + blanks);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  return out;
}

}  // namespace herd
