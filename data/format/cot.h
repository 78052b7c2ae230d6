#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data/format/cot_templates.h"
#include "data/record.h"

namespace herd {

/// Question, answer and the reasoning that leads from one to the other.
struct CotRow {
  std::string question, answer, reasoning;
};

enum class CotCompat {
  kNone,       ///< a tab parts the columns and nothing else does; `\n` as two characters is decoded to a line end; quotes stay as they are
  kAlpacaCot,  ///< as Alpaca-CoT's published files were made: Python's csv reading (csv_rows.h), `\n` stays two characters
};

/// Rows of a file of three tab-separated columns: question, answer, reasoning.
class CotRows {
 public:
  CotRows(const std::filesystem::path& file, CotCompat compat);
  ~CotRows();
  /// @throws DataError with the line: other than three columns, an empty one, and what LineReader and CsvRows throw.
  bool next(CotRow& row);

 private:
  struct Reading;
  std::unique_ptr<Reading> reading_;
};

Record apply(const CotTemplate& form, const CotRow& row);

/// The row under each of the templates, in their order: what `choose_cot` picks one of.
std::vector<Record> cot_candidates(const std::vector<CotTemplate>& templates, const CotRow& row);

/// Which of `count` templates row number `row` (from 0) of the set gets. A function of its arguments alone: no row depends on another.
std::size_t choose_cot(std::uint64_t seed, std::string_view set, std::uint64_t row, std::size_t count);

struct CotInput {
  std::filesystem::path file;
  std::string set;
};

struct CotRequest {
  std::vector<CotInput> inputs;
  std::filesystem::path templates, output;
  std::filesystem::path inversions{};  ///< templates that ask for question or reasoning; empty: none. They add a second record for each row
  std::uint64_t seed = 0;
  CotCompat compat = CotCompat::kNone;
};

struct CotCount {
  CotInput input;
  std::int64_t records = 0, inverted = 0;
};

/// Writes the inputs' records as alpaca lines, one input after the other, of each the plain records before the inverted ones.
/// @return what came of each input
/// @throws DataError for a row, a template, an empty file, an output that is an input; IoError
std::vector<CotCount> format_cot(const CotRequest& request);

}  // namespace herd
