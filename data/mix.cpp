#include "data/mix.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>

#include "data/catalogue.h"
#include "data/language.h"
#include "data/readers/paths.h"
#include "runtime/base/error.h"
#include "runtime/base/parallel_for.h"
#include "runtime/base/random.h"
#include "runtime/base/text.h"

namespace herd {
namespace {

constexpr std::string_view kTag = "tag:", kHub = "hub:";

bool looks_like_file(const std::string& name) { return name.find_first_of("/.*?[") != name.npos; }

std::vector<std::string> files_of(const CatalogueEntry& entry, const Catalogue& catalogue) {
  auto files = catalogue.files_of(entry);
  for (const auto& file : files)
    if (file.starts_with(kHub))
      throw ConfigError({.who = "data set '" + entry.alias + "'", .found = "files that only the hub has", .expected = "files here", .remedy = "name them: data.sets=" + file});
  return files;
}

ResolvedSet from_entry(const DataSet& set, const CatalogueEntry& entry, const Catalogue& catalogue) {
  ResolvedSet out{.set = set, .files = files_of(entry, catalogue), .language = entry.language.find('/') == std::string::npos && entry.language != "ML" ? entry.language : ""};
  if (out.set.format.empty()) out.set.format = entry.format;
  if (out.set.columns.empty()) out.set.columns = entry.columns;
  return out;
}

std::vector<ResolvedSet> by_tag(const DataSet& set, const Catalogue& catalogue) {
  const auto tag = set.name.substr(kTag.size());
  std::vector<ResolvedSet> out;
  std::vector<std::string> missing;
  for (const auto& entry : catalogue.entries()) {
    if (!entry.has_tag(tag)) continue;
    try {
      out.push_back(from_entry(set, entry, catalogue));
      out.back().set.name = entry.alias;
    } catch (const ConfigError&) {
      missing.push_back(entry.alias);  // a tag means what is here
    }
  }
  if (out.empty())
    throw ConfigError({.who = "data.sets: '" + set.name + "'",
                       .found = missing.empty() ? "no data set has this tag" : "no files here of " + join(missing),
                       .expected = "a tag of sets whose files are in data.folder",
                       .remedy = "`herd data list` shows tags and files"});
  return out;
}

std::vector<ResolvedSet> resolve(const DataSet& set, const Catalogue& catalogue) {
  const auto& name = set.name;
  if (name.starts_with(kTag)) return by_tag(set, catalogue);
  if (const auto* entry = catalogue.find(name); entry && !std::filesystem::exists(name)) return {from_entry(set, *entry, catalogue)};
  if (!looks_like_file(name) && !std::filesystem::exists(name)) {
    const auto close = nearest(name, catalogue.aliases());
    throw ConfigError({.who = "data.sets: '" + name + "'",
                       .found = "neither a file nor a data set of that name",
                       .expected = "a file, a pattern, or a name of `herd data list`",
                       .remedy = close.empty() ? "" : "did you mean '" + close + "'?"});
  }
  return {{.set = set, .files = expand_paths(std::vector{name}), .language = ""}};
}

std::string lower(std::string text) {
  for (auto& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
  return text;
}

bool one_of(const std::string& value, const std::vector<std::string>& wanted) {
  return wanted.empty() || std::any_of(wanted.begin(), wanted.end(), [&](const std::string& w) { return lower(w) == lower(value); });
}

bool fits(const Record& record, const ResolvedSet& set) {
  const auto& where = set.set.where;
  if (where.all()) return true;
  if (!one_of(record.category, where.category)) return false;
  if (!where.language.empty() && !one_of(record.language.empty() && !set.language.empty() ? set.language : language_of(record), where.language)) return false;
  if (where.min_chars == 0 && where.max_chars == 0) return true;
  const auto length = characters_of(record);
  return length >= where.min_chars && (where.max_chars == 0 || length <= where.max_chars);
}

}  // namespace

std::vector<ResolvedSet> resolve_sets(const DataOptions& options) {
  if (options.sets.empty())
    throw ConfigError({.who = "data.sets", .found = "no set", .expected = "at least one file of records", .remedy = ""});
  const Catalogue catalogue(options.catalogue, options.folder);
  std::vector<ResolvedSet> out;
  std::map<std::string, std::string> named_by;
  for (const auto& set : options.sets)
    for (auto& resolved : resolve(set, catalogue)) {
      for (const auto& file : resolved.files)
        if (const auto [known, is_new] = named_by.try_emplace(file, set.name); !is_new && set.where.all())
          throw ConfigError({.who = "data.sets", .found = file + " twice (by '" + known->second + "' and '" + set.name + "')", .expected = "each file once",
                             .remedy = "to show its records twice, give the set weight: 2; to take parts of it, say where"});
      out.push_back(std::move(resolved));
    }
  return out;
}

std::vector<std::optional<MixedRecord>> look_at(std::vector<Record> records, const ResolvedSet& set, const DataOptions& options) {
  const auto sides = Random(options.split_seed, hash_name("held out")).below(UINT64_MAX);
  std::vector<std::optional<MixedRecord>> out(records.size());
  parallel_for(static_cast<std::int64_t>(records.size()), options.threads, [&](std::int64_t i) {
    auto& record = records[static_cast<std::size_t>(i)];
    if (!fits(record, set)) return;
    auto& mixed = out[static_cast<std::size_t>(i)].emplace();
    mixed.key = key_of(record, options.deduplicate == Deduplicate::kNear);
    mixed.key.question ^= sides;
    mixed.record = std::move(record);
    mixed.record.weight *= set.set.weight;
  });
  return out;
}

std::uint64_t first_to_train(double held_out) { return static_cast<std::uint64_t>(std::ldexp(held_out, 64)); }

/// One reading of all sets.
struct Mix::Pass {
  Pass(const DataOptions& options, const char* what) : doing(what), seen(options.deduplicate, options.near) {}
  const char* doing;
  std::int64_t read = 0;
  std::size_t set = 0;
  std::unique_ptr<RecordReader> reader;
  std::uint32_t first_file = 0;  // of the set, among all
  SeenRecords seen;
};

Mix::Mix(const DataOptions& options, std::vector<ResolvedSet> sets, LoadListener listener)
    : options_(options), sets_(std::move(sets)), listener_(std::move(listener)), last_within_limit_(sets_.size()) {
  for (const auto& set : sets_) files_.insert(files_.end(), set.files.begin(), set.files.end());
  const bool counts = std::any_of(sets_.begin(), sets_.end(), [](const ResolvedSet& s) { return s.set.limit > 0; });
  if (options_.held_out < 1) first_to_train_ = first_to_train(options_.held_out);
  pass_ = std::make_unique<Pass>(options_, "counting");
  reports_.resize(sets_.size());
  if (counts || options_.held_out >= 1) survey();
  pass_ = std::make_unique<Pass>(options_, "tokenising");
  reports_.assign(sets_.size(), {});
  for (std::size_t i = 0; i < sets_.size(); ++i) reports_[i].name = sets_[i].set.name;
}

Mix::~Mix() = default;

// What a cap and a number of held-out records ask for: the contents and questions of all records, in order.
void Mix::survey() {
  std::vector<std::vector<std::pair<std::string, std::uint64_t>>> all(sets_.size());
  for (auto block = next(); !block.empty(); block = next())
    for (const auto& mixed : block) all[mixed.set].emplace_back(mixed.key.content, mixed.key.question);
  std::vector<std::uint64_t> questions;
  for (std::size_t i = 0; i < sets_.size(); ++i) {
    const auto limit = static_cast<std::size_t>(sets_[i].set.limit);
    if (limit > 0 && limit < all[i].size()) {
      std::nth_element(all[i].begin(), all[i].begin() + static_cast<std::ptrdiff_t>(limit - 1), all[i].end());
      last_within_limit_[i] = all[i][limit - 1].first;
      all[i].resize(limit);
    }
    for (const auto& entry : all[i]) questions.push_back(entry.second);
  }
  if (options_.held_out < 1) return;
  const auto count = static_cast<std::size_t>(options_.held_out);
  if (count >= questions.size())
    throw ConfigError({.who = "data.held_out", .found = fmt::format("{} of {} records", count, questions.size()),
                       .expected = "a fraction below 1 or a number of records, fewer than there are", .remedy = ""});
  std::nth_element(questions.begin(), questions.begin() + static_cast<std::ptrdiff_t>(count - 1), questions.end());
  first_to_train_ = questions[count - 1] + 1;
}

std::vector<MixedRecord> Mix::next(std::int64_t count) {
  std::vector<MixedRecord> out;
  while (out.empty() && pass_->set < sets_.size()) {
    const auto& set = sets_[pass_->set];
    auto& report = reports_[pass_->set];
    if (!pass_->reader) pass_->reader = std::make_unique<RecordReader>(set.files, ReadOptions{.format = set.set.format, .broken = options_.broken, .columns = set.set.columns});
    auto records = pass_->reader->next(count, options_.threads);
    if (records.empty()) {
      const auto& read = pass_->reader->report();
      report.broken = read.broken;
      report.without_input = read.without_input;
      report.dropped_turns = read.dropped_turns;
      report.reasons = read.reasons;
      pass_->first_file += static_cast<std::uint32_t>(set.files.size());
      pass_->reader.reset();
      ++pass_->set;
      continue;
    }
    report.read += std::ssize(records);
    tell(listener_, pass_->doing, pass_->read += std::ssize(records));
    const auto& last = last_within_limit_[pass_->set];
    for (auto& mixed : look_at(std::move(records), set, options_)) {
      if (!mixed) {
        ++report.filtered;
      } else if (pass_->seen.before(mixed->key)) {
        ++report.duplicates;
      } else if (!last.empty() && mixed->key.content > last) {
        ++report.over_limit;
      } else {
        mixed->set = pass_->set;
        mixed->record.source.file += pass_->first_file;
        mixed->held_out = mixed->key.question < first_to_train_;
        ++(mixed->held_out ? report.held_out : report.train);
        out.push_back(std::move(*mixed));
      }
    }
  }
  return out;
}

}  // namespace herd
