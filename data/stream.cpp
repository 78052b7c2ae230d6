#include "data/stream.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "data/pack.h"
#include "runtime/base/error.h"

namespace herd {
namespace {

void refuse(const char* key, const std::string& found, const char* remedy) {
  throw ConfigError({.who = key, .found = found, .expected = "nothing that wants all records read beforehand, beside data.streaming", .remedy = remedy});
}

void check(const DataOptions& options, const std::vector<ResolvedSet>& sets) {
  if (options.held_out >= 1) refuse("data.held_out", "a number of records", "a fraction, such as 0.001, needs no such reading");
  if (options.deduplicate != Deduplicate::kOff) refuse("data.deduplicate", "not off", "`herd data dedupe` writes files without duplicates beforehand");
  for (const auto& set : sets)
    if (set.set.limit > 0) refuse("data.sets: limit", std::to_string(set.set.limit), "`herd data export` writes such a part beforehand");
}

}  // namespace

RecordStream::RecordStream(const DataOptions& options, std::vector<ResolvedSet> sets) : options_(options), sets_(std::move(sets)) {
  check(options_, sets_);
  std::vector<double> bytes;
  double all = 0;
  for (const auto& set : sets_) {
    double of_set = 0;
    for (const auto& file : set.files) of_set += static_cast<double>(std::filesystem::file_size(file));
    files_.insert(files_.end(), set.files.begin(), set.files.end());
    bytes.push_back(of_set);
    all += of_set;
  }
  for (const auto of_set : bytes) shares_.push_back(std::max<std::int64_t>(1, std::llround(static_cast<double>(kWindow) * of_set / std::max(all, 1.0))));
  open();
}

RecordStream::~RecordStream() = default;

void RecordStream::open() {
  readers_.clear();
  for (const auto& set : sets_)
    readers_.push_back(std::make_unique<RecordReader>(set.files, ReadOptions{.format = set.set.format, .broken = options_.broken, .columns = set.set.columns}));
}

StreamPlace RecordStream::place() const {
  StreamPlace out{.epoch = epoch_, .window = window_, .sets = {}};
  for (const auto& reader : readers_) out.sets.push_back(reader->place());
  return out;
}

void RecordStream::go_to(const StreamPlace& place) {
  if (place.sets.size() != readers_.size())
    throw DataError({.who = "data.sets", .found = std::to_string(readers_.size()) + " sets", .expected = "the " + std::to_string(place.sets.size()) + " of the checkpoint", .remedy = ""});
  open();
  for (std::size_t i = 0; i < readers_.size(); ++i) readers_[i]->skip_to(place.sets[i]);
  epoch_ = place.epoch;
  window_ = place.window;
}

std::vector<MixedRecord> RecordStream::next() {
  std::vector<MixedRecord> out;
  bool any = false;
  std::uint32_t first_file = 0;
  const auto train_from = first_to_train(options_.held_out);
  for (std::size_t i = 0; i < readers_.size(); ++i) {
    for (auto left = shares_[i]; left > 0 && !readers_[i]->at_end();) {
      const auto before = readers_[i]->place();
      auto records = readers_[i]->block(left, options_.threads);
      const auto after = readers_[i]->place();
      // A block that ends its file has given what was left of it, which only the records tell.
      left -= after.file == before.file ? after.record - before.record : std::max<std::int64_t>(1, std::ssize(records));
      any = true;
      for (auto& mixed : look_at(std::move(records), sets_[i], options_)) {
        if (!mixed) continue;
        mixed->set = i;
        mixed->record.source.file += first_file;
        mixed->held_out = mixed->key.question < train_from;
        out.push_back(std::move(*mixed));
      }
    }
    first_file += static_cast<std::uint32_t>(sets_[i].files.size());
  }
  ++window_;
  if (!any) {
    ++epoch_;
    window_ = 0;
    open();
  } else if (out.empty()) {
    return next();  // a window of which everything was left out
  }
  return out;
}

}  // namespace herd
