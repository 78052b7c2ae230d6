#include "data/export.h"

#include "data/format/text_output.h"
#include "runtime/base/error.h"

namespace herd {
namespace {

/// Calls `take` for each record of the side. @return what became of the sets' records
template <class Take>
std::vector<SetReport> for_each_record(const DataOptions& options, Side side, const Take& take) {
  Mix mix(options, resolve_sets(options));
  for (auto block = mix.next(); !block.empty(); block = mix.next())
    for (const auto& mixed : block)
      if (side == Side::kBoth || mixed.held_out == (side == Side::kHeldOut)) take(mixed.record);
  return mix.reports();
}

const char* word(Side side) { return side == Side::kTrain ? "train" : side == Side::kHeldOut ? "held_out" : "both"; }

}  // namespace

ExportReport export_records(const DataOptions& options, const std::filesystem::path& output, Side side) {
  ExportReport report;
  for_each_record(options, side, [&](const Record& record) {
    ++report.written;
    if (written_as({&record, 1}) == WrittenAs::kMessages) report.as = WrittenAs::kMessages;
  });
  if (report.written == 0)
    throw DataError(
        {.who = std::string("--side ") + word(side),
         .found = "no record",
         .expected = "at least one",
         .remedy = side == Side::kHeldOut && options.held_out == 0 ? "data.held_out is 0" : "look at `where` and `limit` of the sets"});
  std::vector<std::filesystem::path> inputs;
  for (const auto& set : resolve_sets(options)) inputs.insert(inputs.end(), set.files.begin(), set.files.end());
  write_text(output, inputs, [&](TextOutput& out) {
    report.sets = for_each_record(options, side, [&](const Record& record) { out.line(record_line(record, report.as)); });
  });
  return report;
}

}  // namespace herd
