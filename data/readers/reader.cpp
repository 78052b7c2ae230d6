#include "data/readers/reader.h"

#include <fmt/format.h>

#include <optional>
#include <utility>

#include "data/readers/data_file.h"
#include "data/readers/fault.h"
#include "runtime/base/error.h"
#include "runtime/base/parallel_for.h"
#include "runtime/base/text.h"

namespace herd {
namespace {

constexpr std::size_t kBlockBytes = std::size_t{64} << 20, kReasonsKept = 5;
constexpr std::int64_t kBlockRecords = 4096;

DataError complaint(const RecordFault& fault, const Source& at, std::span<const std::string> files) {
  return DataError({.who = describe(at, files), .found = fault.found, .expected = fault.expected, .remedy = fault.remedy});
}

/// What parsing one record came to.
struct Outcome {
  Parsed parsed;
  std::optional<RecordFault> fault;
};

}  // namespace

RecordReader::RecordReader(std::vector<std::string> paths, ReadOptions options) : files_(std::move(paths)), options_(std::move(options)) {
  if (files_.empty()) throw DataError({.who = "data.sets", .found = "no file", .expected = "at least one file of records", .remedy = ""});
  if (!options_.format.empty()) record_formats().at(options_.format);
  check_columns(options_.columns);
}

RecordReader::~RecordReader() = default;

std::vector<Record> RecordReader::next(std::int64_t count, int threads) {
  const auto wanted = static_cast<std::size_t>(count);
  while (ready_.size() < wanted && !failure_ && file_number_ < files_.size()) {
    try {
      read_block(count - static_cast<std::int64_t>(ready_.size()), threads);
    } catch (...) {
      failure_ = std::current_exception();
    }
  }
  if (ready_.empty() && failure_) std::rethrow_exception(failure_);
  const auto end = ready_.begin() + static_cast<std::ptrdiff_t>(std::min(wanted, ready_.size()));
  std::vector<Record> out(std::make_move_iterator(ready_.begin()), std::make_move_iterator(end));
  ready_.erase(ready_.begin(), end);
  return out;
}

std::uint32_t RecordReader::file_position() const { return file_->found(); }

std::vector<Record> RecordReader::block(std::int64_t count, int threads) {
  if (!at_end()) read_block(count, threads);
  std::vector<Record> out(std::make_move_iterator(ready_.begin()), std::make_move_iterator(ready_.end()));
  ready_.clear();
  return out;
}

void RecordReader::skip_to(Place place) {
  const auto gone = [&] {
    return DataError({.who = place.file < files_.size() ? files_[place.file] : join(files_), .found = fmt::format("no record {}", place.record),
                      .expected = "at least as many records as when the checkpoint was written", .remedy = "put the file back as it was"});
  };
  if (place.file > files_.size() || (place.file == files_.size() && place.record > 0)) throw gone();
  file_number_ = place.file;
  file_.reset();
  if (place.record == 0) return;
  file_ = std::make_unique<DataFile>(files_[place.file], options_.format, options_.columns);
  for (RecordSlice slice; file_->found() < place.record;) {
    if (!file_->next(slice)) throw gone();
    std::size_t tried = 0;
    try {
      file_->settle(std::span(&slice, 1), tried);  // the first that tells the file's format tells it again
    } catch (const RecordFault&) {  // a broken one, left out the first time too
    }
  }
}

/// A block is of one file, which it opens and closes.
void RecordReader::read_block(std::int64_t count, int threads) {
  const auto& path = files_[file_number_];
  std::vector<RecordSlice> slices;
  std::uint32_t first = 1;
  std::exception_ptr cut_off;
  bool ended = false;
  try {
    if (!file_) file_ = std::make_unique<DataFile>(path, options_.format, options_.columns);
    first = file_->found() + 1;
    std::size_t bytes = 0;
    for (RecordSlice slice; std::ssize(slices) < count && bytes < kBlockBytes && !ended;) {
      ended = !file_->next(slice);
      if (ended) break;
      bytes += slice.text.size();
      slices.push_back(std::exchange(slice, {}));
    }
    if (ended && file_->found() == 0) throw DataError({.who = path, .found = "no records", .expected = "at least one", .remedy = ""});
  } catch (const RecordFault& fault) {
    const auto record = file_ ? file_->found() + 1 : 1;
    cut_off = std::make_exception_ptr(complaint(fault, {file_number_, record, fault.lines_below}, files_));
  } catch (...) {
    cut_off = std::current_exception();
  }

  const auto place = [&](std::size_t i) { return Source{file_number_, first + static_cast<std::uint32_t>(i), slices[i].line}; };
  const auto below = [](Source source, const RecordFault& fault) { return source.line += fault.lines_below, source; };
  std::size_t tried = 0;
  try {
    // Where a broken record is an error, none behind it may speak first.
    const auto asked = options_.broken == Broken::kSkip ? slices.size() : std::min<std::size_t>(slices.size(), 1);
    if (asked > 0) file_->settle(std::span(slices).first(asked), tried);
  } catch (const RecordFault& fault) {
    throw complaint(fault, place(tried), files_);
  }

  std::vector<Outcome> outcomes(slices.size());
  parallel_for(std::ssize(slices), threads, [&](std::int64_t i) {
    auto& slice = slices[static_cast<std::size_t>(i)];
    auto& outcome = outcomes[static_cast<std::size_t>(i)];
    try {
      outcome.parsed = file_->parse(slice);
    } catch (const RecordFault& fault) {
      outcome.fault = fault;
    }
    slice.text = {};
  });

  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    auto& [parsed, fault] = outcomes[i];
    if (fault) {
      const auto error = complaint(*fault, below(place(i), *fault), files_);
      if (options_.broken == Broken::kStop) throw error;
      ++report_.broken;
      if (report_.reasons.size() < kReasonsKept) report_.reasons.push_back(error.what());
      continue;
    }
    report_.records += std::ssize(parsed.records);
    report_.without_input += parsed.without_input;
    report_.dropped_turns += parsed.dropped_turns;
    for (auto& record : parsed.records) {
      record.source = place(i);
      ready_.push_back(std::move(record));
    }
  }
  if (cut_off) std::rethrow_exception(cut_off);
  if (!ended) return;
  file_.reset();
  ++file_number_;
}

Records read_records(std::span<const std::string> paths, const ReadOptions& options) {
  RecordReader reader({paths.begin(), paths.end()}, options);
  Records out{.files = reader.files(), .records = {}};
  for (auto block = reader.next(kBlockRecords); !block.empty(); block = reader.next(kBlockRecords))
    out.records.insert(out.records.end(), std::make_move_iterator(block.begin()), std::make_move_iterator(block.end()));
  out.report = reader.report();
  out.without_input = out.report.without_input;
  return out;
}

}  // namespace herd
