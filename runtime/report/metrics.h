#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/base/file.h"

namespace herd {

/// The names under which every run reports the same things. Losses are nats a token.
namespace metric {
inline constexpr const char* kLoss = "loss";
inline constexpr const char* kHeldOutLoss = "held_out_loss";
inline constexpr const char* kPerplexity = "perplexity";
inline constexpr const char* kLearningRate = "learning_rate";
inline constexpr const char* kGradientNorm = "gradient_norm";
inline constexpr const char* kTokens = "tokens";
inline constexpr const char* kTokensPerS = "tokens_per_s";
inline constexpr const char* kResidentBytes = "resident_bytes";
inline constexpr const char* kDevicePeakBytes = "device_peak_bytes";
inline constexpr const char* kSaveBlocked = "save_blocked_s";
}  // namespace metric

/// Named numbers of one step, in the order in which they are shown.
using Scalars = std::vector<std::pair<std::string, double>>;

/// One line of metrics.jsonl.
struct MetricsLine {
  std::int64_t step = 0;
  double time_s = 0;  ///< since 1970
  Scalars values;
  std::optional<double> get(std::string_view name) const;
};

/// `metrics.jsonl`: one JSON object a line, such as `{"step":12,"time":1763687885.2,"loss":1.5}`, readable while the run goes on.
/// JSON has no word for infinity and NaN: such a value is null, and `"nonfinite":{"loss":"nan"}` beside it says which of the three it was.
class MetricsWriter {
 public:
  /// @param resumed_step the step a resumed run goes on from: lines of later steps, and a line that a crash cut short, are dropped
  ///        in one atomic step. Empty for a new run, which starts an empty file.
  /// @throws IoError where the file cannot be written, DataError where a line that should be kept is not ours.
  MetricsWriter(const std::filesystem::path& path, std::optional<std::int64_t> resumed_step);
  /// One line, in one write. @throws IoError (a full disk).
  void write(std::int64_t step, const Scalars& values);

 private:
  File file_;
};

/// All whole lines; one without its line break is left out, it is still being written. @throws DataError naming file and line.
std::vector<MetricsLine> read_metrics(const std::filesystem::path& path);

}  // namespace herd
