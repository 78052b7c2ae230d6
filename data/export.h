#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "data/data_options.h"
#include "data/mix.h"
#include "data/readers/write.h"

namespace herd {

/// Which records of a mixture: those to learn from, those held out, or both.
enum class Side { kTrain, kHeldOut, kBoth };

struct ExportReport {
  std::int64_t written = 0;
  WrittenAs as = WrittenAs::kInstructions;
  std::vector<SetReport> sets;
};

/// Writes the mixture's records as JSON lines, as a run would read them: after filters, data.deduplicate and limits, each with its set's
/// weight. The mixture is read twice: first to see which form holds all of its records. The file appears whole or not at all.
/// @throws what Mix throws; DataError where no record is left, or the output is one of the sets; IoError
ExportReport export_records(const DataOptions& options, const std::filesystem::path& output, Side side);

}  // namespace herd
