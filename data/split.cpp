#include "data/split.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "runtime/base/error.h"
#include "runtime/base/text.h"

namespace herd {
namespace {

std::string content_hash(const Record& record, std::uint64_t seed) {
  return fingerprint(std::to_string(seed) + '\0' + content_of(record));
}

/// The hash of the last record to keep back.
std::string threshold(std::vector<std::string> hashes, std::size_t count) {
  const auto last = hashes.begin() + static_cast<std::ptrdiff_t>(count - 1);
  std::nth_element(hashes.begin(), last, hashes.end());
  return *last;
}

}  // namespace

Split split_records(Records records, double held_out, std::uint64_t seed) {
  const auto total = static_cast<double>(records.records.size());
  const auto count = held_out < 1 ? std::ceil(held_out * total) : std::floor(held_out);
  if (!(held_out >= 0) || count >= total)
    throw ConfigError({.who = "data.held_out", .found = fmt::format("{} of {} records", held_out, total),
                       .expected = "a fraction below 1 or a number of records, fewer than there are", .remedy = ""});
  Split out{.train = {records.files, {}}, .held_out = {records.files, {}}};
  if (count == 0) {
    out.train.records = std::move(records.records);
    return out;
  }
  std::vector<std::string> hashes;
  for (const auto& record : records.records) hashes.push_back(content_hash(record, seed));
  const auto limit = threshold(hashes, static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < hashes.size(); ++i)
    (hashes[i] <= limit ? out.held_out : out.train).records.push_back(std::move(records.records[i]));
  if (out.train.records.empty())
    throw ConfigError({.who = "data.held_out", .found = fmt::format("{} of {} records, many of them equal", held_out, total),
                       .expected = "some records left to train on", .remedy = ""});
  return out;
}

}  // namespace herd
