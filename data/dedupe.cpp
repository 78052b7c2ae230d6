#include "data/dedupe.h"

#include <fmt/format.h>

#include "data/duplicates.h"
#include "data/format/text_output.h"
#include "data/readers/reader.h"
#include "data/readers/write.h"
#include "runtime/base/error.h"
#include "runtime/base/parallel_for.h"
#include "runtime/report/picture.h"

namespace herd {
namespace {

constexpr std::size_t kBeginning = 60;  // characters of a record told

std::string beginning(const Record& record) {
  std::string text;
  for (const auto& turn : record.turns) text += (text.empty() ? "" : " │ ") + turn.text + (turn.input.empty() ? "" : " │ " + turn.input);
  const auto all = characters(text);
  std::string out;
  for (std::size_t i = 0; i < std::min(all.size(), kBeginning); ++i) out += all[i];
  return out + (all.size() > kBeginning ? "…" : "");
}

/// What reading finds: which records go, and what is to be told.
class Finder {
 public:
  explicit Finder(const DedupeRequest& request)
      : request_(request), seen_(request.near > 0 ? Deduplicate::kNear : Deduplicate::kExact, request.near > 0 ? request.near : 1) {}

  void add(const Record& record, const RecordKey& key) {
    ++report.read;
    const auto like = seen_.earlier(key);
    goes.push_back(like.has_value());
    if (!like) {
      stayed_.push_back(record.source);
      ++report.written;
      if (written_as({&record, 1}) == WrittenAs::kMessages) as = WrittenAs::kMessages;
      return;
    }
    ++(like->exact ? report.exact : report.near);
    auto& pairs = like->exact ? exact_ : near_;
    if (pairs.size() < request_.examples) pairs.push_back({record.source, stayed_[like->number], like->exact, beginning(record), ""});
  }

  std::vector<DuplicatePair> pairs() const {
    auto out = near_;
    for (const auto& pair : exact_)
      if (out.size() < request_.examples) out.push_back(pair);
    return out;
  }

  DedupeReport report;
  WrittenAs as = WrittenAs::kInstructions;
  std::vector<bool> goes;

 private:
  const DedupeRequest& request_;
  SeenRecords seen_;
  std::vector<Source> stayed_;
  std::vector<DuplicatePair> exact_, near_;
};

void find(Finder& finder, const DedupeRequest& request) {
  RecordReader reader(request.files);
  for (auto block = reader.next(4096, request.threads); !block.empty(); block = reader.next(4096, request.threads)) {
    std::vector<RecordKey> keys(block.size());
    parallel_for(static_cast<std::int64_t>(block.size()), request.threads,
                 [&](std::int64_t i) { keys[static_cast<std::size_t>(i)] = key_of(block[static_cast<std::size_t>(i)], request.near > 0); });
    for (std::size_t i = 0; i < block.size(); ++i) finder.add(block[i], keys[i]);
  }
}

}  // namespace

DedupeReport dedupe(const DedupeRequest& request) {
  if (request.near != 0 && !(request.near > 0.3 && request.near <= 1))
    throw ConfigError({.who = "--near", .found = fmt::format("{:g}", request.near), .expected = "above 0.3, at most 1", .remedy = ""});
  Finder finder(request);
  find(finder, request);
  auto report = std::move(finder.report);
  report.files = request.files;
  report.pairs = finder.pairs();
  const std::vector<std::filesystem::path> inputs(request.files.begin(), request.files.end());
  write_text(request.output, inputs, [&](TextOutput& out) {
    RecordReader reader(request.files);
    std::size_t at = 0;
    for (auto block = reader.next(4096, request.threads); !block.empty(); block = reader.next(4096, request.threads))
      for (const auto& record : block) {
        for (auto& pair : report.pairs)
          if (pair.stayed == record.source) pair.stayed_text = beginning(record);
        if (!finder.goes.at(at++)) out.line(record_line(record, finder.as));
      }
  });
  return report;
}

}  // namespace herd
