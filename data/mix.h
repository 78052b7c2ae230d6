#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/data_options.h"
#include "data/duplicates.h"
#include "data/load_listener.h"
#include "data/readers/reader.h"

namespace herd {

/// A set with the files that its name stands for.
struct ResolvedSet {
  DataSet set;
  std::vector<std::string> files;
  std::string language;  ///< of all its records, where the catalogue names one alone
};

/// @throws ConfigError for a name that is no file, pattern, alias or tag, with the nearest; for two sets of one file.
std::vector<ResolvedSet> resolve_sets(const DataOptions& options);

/// What became of a set's records.
struct SetReport {
  std::string name;
  std::int64_t read = 0, broken = 0, without_input = 0, dropped_turns = 0;
  std::int64_t filtered = 0, duplicates = 0, over_limit = 0;  ///< left out by `where`, by data.deduplicate, by `limit`
  std::int64_t train = 0, held_out = 0;
  std::vector<std::string> reasons{};                         ///< of the first broken ones

  bool operator==(const SetReport&) const = default;
};

struct MixedRecord {
  Record record;  ///< source.file counts all files of the mixture; weight holds the set's too
  RecordKey key;
  std::size_t set = 0;
  bool held_out = false;
};

/// Records of a set with their keys, their weight with the set's; none where `where` leaves one out. On options.threads threads.
std::vector<std::optional<MixedRecord>> look_at(std::vector<Record> records, const ResolvedSet& set, const DataOptions& options);
/// The least RecordKey::question (as look_at gives it) that a fraction of held-out records leaves to training.
std::uint64_t first_to_train(double held_out);

/// The records of data.sets, one set after another: filtered, without duplicates, capped, each with its side of the split. A record is held out or not by
/// what it asks, so it stands on the same side in every mixture (for a fraction), and records that ask the same never part.
class Mix {
 public:
  /// Where a cap or a number of held-out records wants it, all records are read once beforehand. @throws what readers and `listener` throw.
  Mix(const DataOptions& options, std::vector<ResolvedSet> sets, LoadListener listener = {});
  ~Mix();

  /// The next records, some `count`; empty at the end.
  std::vector<MixedRecord> next(std::int64_t count = 4096);

  const std::vector<std::string>& files() const { return files_; }
  const std::vector<SetReport>& reports() const { return reports_; }

 private:
  struct Pass;
  void survey();

  DataOptions options_;
  std::vector<ResolvedSet> sets_;
  LoadListener listener_;
  std::vector<std::string> files_;
  std::vector<SetReport> reports_;
  std::vector<std::string> last_within_limit_;  // by set: the greatest content that is taken; empty: all
  std::uint64_t first_to_train_ = 0;            // questions below it are held out
  std::unique_ptr<Pass> pass_;
};

}  // namespace herd
