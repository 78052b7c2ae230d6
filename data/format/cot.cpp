#include "data/format/cot.h"

#include <fmt/format.h>

#include <array>

#include "data/format/alpaca_lines.h"
#include "data/format/csv_rows.h"
#include "data/format/python_text.h"
#include "data/format/text_output.h"
#include "data/tokenizer/utf8.h"
#include "runtime/base/random.h"

namespace herd {
namespace {

constexpr std::array<const char*, 3> kColumns{"question", "answer", "reasoning"};

std::int64_t write_input(const CotInput& input, const std::vector<CotTemplate>& templates, std::string_view stream,
                         const CotRequest& request, TextOutput& out) {
  CotRows rows(input.file, request.compat);
  std::int64_t count = 0;
  for (CotRow row; rows.next(row); ++count)
    out.line(alpaca_line(apply(templates[choose_cot(request.seed, stream, static_cast<std::uint64_t>(count), templates.size())], row)));
  if (count == 0)
    throw DataError(
        {.who = input.file.string(), .found = "an empty file", .expected = "rows of question, answer and reasoning", .remedy = ""});
  return count;
}

}  // namespace

struct CotRows::Reading {
  Reading(const std::filesystem::path& file, CotCompat how) : lines(file), csv(lines), compat(how) {}

  bool next(std::vector<std::string>& fields) {
    if (compat == CotCompat::kAlpacaCot) return csv.next(fields);
    if (!lines.next(line)) return false;
    fields = split(line, '\t');
    for (auto& field : fields) field = replace_all(field, "\\n", "\n");
    return true;
  }
  std::uint32_t begin() const { return compat == CotCompat::kAlpacaCot ? csv.line() : lines.line(); }

  LineReader lines;
  CsvRows csv;
  CotCompat compat;
  std::string line;
};

CotRows::CotRows(const std::filesystem::path& file, CotCompat compat) : reading_(std::make_unique<Reading>(file, compat)) {}
CotRows::~CotRows() = default;

bool CotRows::next(CotRow& row) {
  std::vector<std::string> fields;
  if (!reading_->next(fields)) return false;
  const auto& lines = reading_->lines;
  const bool blank = fields.empty() || (fields.size() == 1 && fields[0].empty());
  if (fields.size() != kColumns.size())
    throw lines.error_at(reading_->begin(),
                         blank ? "an empty line" : fmt::format("{} column{}", fields.size(), fields.size() == 1 ? "" : "s"),
                         "three, parted by tabs: question, answer, reasoning");
  for (std::size_t i = 0; i < fields.size(); ++i)
    if (fields[i].empty())
      throw lines.error_at(reading_->begin(), fmt::format("no {}", kColumns[i]), "three columns with text: question, answer, reasoning");
  row = {.question = std::move(fields[0]), .answer = std::move(fields[1]), .reasoning = std::move(fields[2])};
  return true;
}

Record apply(const CotTemplate& form, const CotRow& row) {
  const std::array<std::string_view, 3> values{row.question, row.answer, row.reasoning};
  return instruction_record(form.instruction.fill(values), {}, form.output.fill(values));
}

std::vector<Record> cot_candidates(const std::vector<CotTemplate>& templates, const CotRow& row) {
  std::vector<Record> candidates;
  for (const auto& form : templates) candidates.push_back(apply(form, row));
  return candidates;
}

std::size_t choose_cot(std::uint64_t seed, std::string_view set, std::uint64_t row, std::size_t count) {
  return static_cast<std::size_t>(Random(seed, hash_name(set) ^ row).below(count));
}

std::vector<CotCount> format_cot(const CotRequest& request) {
  std::vector<std::filesystem::path> files{request.templates, request.inversions};
  for (const auto& input : request.inputs) files.push_back(input.file);
  std::vector<CotCount> counts;
  write_text(request.output, files, [&](TextOutput& out) {
    for (const auto& input : request.inputs) {
      auto& count = counts.emplace_back(input);
      count.records = write_input(input, read_cot_templates(request.templates, input.set), input.set, request, out);
      if (request.inversions.empty()) continue;
      count.inverted = write_input(input, read_cot_templates(request.inversions, input.set), input.set + " inverted", request, out);
    }
  });
  return counts;
}

}  // namespace herd
