#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "data/data_options.h"
#include "data/mix.h"

namespace herd {

/// Where a reading of all sets stands.
struct StreamPlace {
  std::int64_t epoch = 0, window = 0;
  std::vector<RecordReader::Place> sets;
  bool operator==(const StreamPlace&) const = default;
};

/// The records of data.sets, read side by side, epoch after epoch, without ever holding more than a window of them. Each set gives to each window in
/// proportion to its bytes; when one ends, the others go on.
class RecordStream {
 public:
  /// @throws ConfigError for what only a reading of everything could do: a limit, a number of held-out records, duplicates.
  RecordStream(const DataOptions& options, std::vector<ResolvedSet> sets);
  ~RecordStream();

  /// Where the next window begins.
  StreamPlace place() const;
  void go_to(const StreamPlace& place);
  /// The next window's records, some kWindow before any are left out (by `where`, or as broken); those held out are marked. Of an epoch's end: empty, and the next one begins.
  std::vector<MixedRecord> next();

  const std::vector<std::string>& files() const { return files_; }
  std::size_t sets() const { return sets_.size(); }

 private:
  void open();

  DataOptions options_;
  std::vector<ResolvedSet> sets_;
  std::vector<std::string> files_;
  std::vector<std::int64_t> shares_;  // of a window, by set
  std::vector<std::unique_ptr<RecordReader>> readers_;
  std::int64_t epoch_ = 0, window_ = 0;
};

}  // namespace herd
