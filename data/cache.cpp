#include "data/cache.h"

#include <fcntl.h>
#include <unistd.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "runtime/base/error.h"
#include "runtime/base/file.h"
#include "runtime/base/hash.h"
#include "runtime/base/log.h"
#include "runtime/base/new_folder.h"
#include "runtime/base/parallel_for.h"
#include "runtime/base/text.h"

namespace herd {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr int kFormat = 1;  // of the folder and of what the same options mean
constexpr std::uintmax_t kWorthKeeping = std::uintmax_t{16} << 20;

std::string fingerprint_of_parts(const std::string& path) {
  constexpr std::uintmax_t kPart = std::uintmax_t{1} << 20;
  const File file(path, File::Mode::read);
  const auto size = fs::file_size(path);
  Hasher hasher;
  hasher.update(&size, sizeof size);
  std::vector<char> buffer(kPart);
  for (const auto begin : {std::uintmax_t{0}, size / 2, size > kPart ? size - kPart : 0}) {
    const auto got = pread(file.descriptor(), buffer.data(), buffer.size(), static_cast<off_t>(begin));
    if (got < 0) throw io_error(path, "cannot read", errno);
    hasher.update(buffer.data(), static_cast<std::size_t>(got));
  }
  return hasher.hex();
}

std::string fingerprint_of_file(const std::string& path, const LoadListener& listener) {
  const File file(path, File::Mode::read);
  posix_fadvise(file.descriptor(), 0, 0, POSIX_FADV_SEQUENTIAL);
  Hasher hasher;
  std::vector<char> buffer(std::size_t{1} << 20);
  for (;;) {
    const auto got = ::read(file.descriptor(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw io_error(path, "cannot read", errno);
    if (got == 0) return hasher.hex();
    hasher.update(buffer.data(), static_cast<std::size_t>(got));
    tell(listener, "looking at the files", 0);
  }
}

Json to_json(const FormatReport& r) {
  return {{"records", r.records}, {"examples", r.examples}, {"tokens", r.tokens}, {"supervised_tokens", r.supervised_tokens}, {"truncated", r.truncated},
          {"tokens_cut", r.tokens_cut}, {"skipped_overlong", r.skipped_overlong}, {"skipped_unsupervised", r.skipped_unsupervised}, {"longest", r.longest}};
}

FormatReport format_report(const Json& j) {
  return {.records = j.at("records"), .examples = j.at("examples"), .tokens = j.at("tokens"), .supervised_tokens = j.at("supervised_tokens"),
          .truncated = j.at("truncated"), .tokens_cut = j.at("tokens_cut"), .skipped_overlong = j.at("skipped_overlong"),
          .skipped_unsupervised = j.at("skipped_unsupervised"), .longest = j.at("longest")};
}

Json to_json(const SetReport& r) {
  return {{"name", r.name}, {"read", r.read}, {"broken", r.broken}, {"without_input", r.without_input}, {"dropped_turns", r.dropped_turns}, {"filtered", r.filtered},
          {"duplicates", r.duplicates}, {"over_limit", r.over_limit}, {"train", r.train}, {"held_out", r.held_out}, {"reasons", r.reasons}};
}

SetReport set_report(const Json& j) {
  return {.name = j.at("name"), .read = j.at("read"), .broken = j.at("broken"), .without_input = j.at("without_input"), .dropped_turns = j.at("dropped_turns"), .filtered = j.at("filtered"),
          .duplicates = j.at("duplicates"), .over_limit = j.at("over_limit"), .train = j.at("train"), .held_out = j.at("held_out"), .reasons = j.at("reasons")};
}

}  // namespace

std::vector<std::string> file_fingerprints(const std::vector<std::string>& files, int threads, bool all, const LoadListener& listener) {
  std::vector<std::string> out(files.size());
  parallel_for(static_cast<std::int64_t>(files.size()), threads, [&](std::int64_t i) {
    const auto& file = files[static_cast<std::size_t>(i)];
    out[static_cast<std::size_t>(i)] = all ? fingerprint_of_file(file, listener) : fingerprint_of_parts(file);
  }, 1);
  return out;
}

std::string dataset_key(const DataOptions& o, const std::vector<ResolvedSet>& sets, const Dataset& dataset) {
  auto text = fmt::format("{} {} {} {} {} {} {} {} {} {} {} {} {}\n", kFormat, dataset.template_fingerprint, dataset.tokenizer_fingerprint, o.max_tokens,
                          static_cast<int>(o.train_on), static_cast<int>(o.objective), o.held_out, static_cast<int>(o.overlong), static_cast<int>(o.unsupervised),
                          o.split_seed, static_cast<int>(o.broken), static_cast<int>(o.deduplicate), o.deduplicate == Deduplicate::kNear ? o.near : 0);
  std::size_t file = 0;
  for (const auto& [set, files, language] : sets) {
    text += fmt::format("{} {} {} {} {} {} {} {} {}:", set.format, set.columns, set.weight, set.limit, set.where.category, set.where.language, set.where.min_chars,
                        set.where.max_chars, language);
    for (std::size_t i = 0; i < files.size(); ++i) text += " " + dataset.file_fingerprints[file++];
    text += "\n";
  }
  return fingerprint(text);
}

fs::path cache_folder(const DataOptions& options, const std::vector<std::string>& files) {
  if (options.cache == "off") return {};
  if (!options.cache.empty()) return options.cache;
  std::uintmax_t bytes = 0;
  for (const auto& file : files) bytes += fs::file_size(file);
  if (bytes < kWorthKeeping) return {};
  const auto* cache = std::getenv("XDG_CACHE_HOME");
  const auto* home = std::getenv("HOME");
  if (cache && *cache) return fs::path(cache) / "herd" / "data";
  return home && *home ? fs::path(home) / ".cache" / "herd" / "data" : fs::path();
}

DatasetCache::DatasetCache(const fs::path& folder, const std::string& key) : folder_(folder), place_(folder / key) { make_folder(folder_); }

WaitingLock DatasetCache::lock(const LoadListener& listener) const {
  return WaitingLock(place_.string() + ".lock", "tokenises the same data", [&] { tell(listener, "waiting", 0); });
}

bool DatasetCache::read(Dataset& out) const {
  if (!fs::exists(place_)) return false;
  try {
    const auto about = Json::parse(read_file(place_ / "about.json"));
    auto train = Examples::map(place_ / "train.examples"), held_out = Examples::map(place_ / "held_out.examples");
    const auto train_report = format_report(about.at("train")), held_out_report = format_report(about.at("held_out"));
    std::vector<SetReport> sets;
    for (const auto& set : about.at("sets")) sets.push_back(set_report(set));
    if (train.size() != train_report.examples || held_out.size() != held_out_report.examples)
      throw IoError({.who = place_.string(), .found = "another number of examples than its about.json says", .expected = "", .remedy = ""});
    out.train = std::move(train);
    out.held_out = std::move(held_out);
    out.train_report = train_report;
    out.held_out_report = held_out_report;
    out.sets = std::move(sets);
    out.cached = place_.string();
    return true;
  } catch (const std::exception& problem) {  // ours, or the JSON library's
    log_warning("tokenised data that are not whole are made again: {}", problem.what());
    return false;
  }
}

void DatasetCache::write(Dataset& out, const std::function<void(const fs::path&)>& make) const {
  const NewFolder staging(place_, NewFolder::Place::kAnything);
  make(staging.path());
  Json about{{"format", kFormat}, {"train", to_json(out.train_report)}, {"held_out", to_json(out.held_out_report)}, {"sets", Json::array()}};
  for (const auto& set : out.sets) about["sets"].push_back(to_json(set));
  for (const auto& file : out.files) about["files"].push_back(file);
  write_file_atomically(staging.path() / "about.json", about.dump(1, ' ', false, Json::error_handler_t::replace) + "\n");
  staging.commit();
}

}  // namespace herd
