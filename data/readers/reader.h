#pragma once
#include <cstdint>
#include <deque>
#include <exception>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "data/record.h"

namespace herd {

class DataFile;

/// What becomes of a record that cannot be read.
enum class Broken {
  kStop,  ///< it is an error
  kSkip,  ///< it is left out and counted
};

struct ReadOptions {
  std::string format;  ///< a name in record_formats() (format.h); empty: told by each file's own content
  Broken broken = Broken::kStop;
  /// Which column of a table (or field of a JSON object) is which of instruction, input, output, system, category, language, weight:
  /// {instruction: Question, output: Answer}. Empty: a table's header has these names itself.
  std::map<std::string, std::string> columns;
};

/// The records of files, one after another. Files are JSON (an array, lines, or objects one behind another), tables or text, plain or
/// packed by gzip or zstd, and streamed: memory holds a block of records. A record is found without being understood, so that blocks are
/// parsed on several threads and a broken one costs no other. docs/data.md lists the formats.
class RecordReader {
 public:
  /// @throws ConfigError where options name what is not there; DataError without a file.
  explicit RecordReader(std::vector<std::string> paths, ReadOptions options = {});
  ~RecordReader();

  /// The next records in order, up to `count`, parsed by up to `threads` threads (0: one a core), which change nothing else; empty at the
  /// end.
  /// @throws IoError where a file cannot be read; DataError with file, line and record where a record is broken (as options say), and with
  /// the file where it is cut
  ///         short, breaks off, has no record, is in no known format or not in UTF-8. What stands before it has been given out by then.
  std::vector<Record> next(std::int64_t count, int threads = 0);

  /// Where the next block begins: in which file, and how many records of it come before.
  struct Place {
    std::uint32_t file = 0, record = 0;
    bool operator==(const Place&) const = default;
  };
  Place place() const { return {file_number_, file_ ? file_position() : 0}; }
  bool at_end() const { return file_number_ == files_.size(); }
  /// The records that the next up to `count` of a file turn into: some turn into several, or none. Not to be mixed with next(), which may stop in between.
  std::vector<Record> block(std::int64_t count, int threads = 0);
  /// Goes to a place of an earlier reader of the same files, without parsing what comes before. @throws what block() throws; DataError where there is no such place.
  void skip_to(Place place);

  const std::vector<std::string>& files() const { return files_; }
  const ReadReport& report() const { return report_; }

 private:
  void read_block(std::int64_t count, int threads);
  std::uint32_t file_position() const;

  std::vector<std::string> files_;
  ReadOptions options_;
  ReadReport report_;
  std::unique_ptr<DataFile> file_;
  std::uint32_t file_number_ = 0;  // of file_, or the next to open
  std::deque<Record> ready_;
  std::exception_ptr failure_;  // behind what is ready
};

/// All records of the files. @throws what RecordReader throws, then nothing is used
Records read_records(std::span<const std::string> paths, const ReadOptions& options = {});

}  // namespace herd
