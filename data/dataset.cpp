#include "data/dataset.h"

#include <fmt/format.h>

#include <filesystem>
#include <functional>

#include "data/cache.h"
#include "data/stream.h"
#include "data/template/chat_template.h"
#include "data/text_blocks.h"
#include "runtime/base/error.h"
#include "runtime/base/parallel_for.h"
#include "runtime/base/text.h"

namespace herd {
namespace {

/// One side of the split: examples as they come.
struct Side {
  Side(ExampleWriter w, std::int64_t max_tokens) : writer(std::move(w)), rows(max_tokens, [this](Example row) { keep(row, 1); }) {}

  void add(Formatter::Outcome outcome, double weight, Objective objective) {
    Formatted kept;
    kept.report = report;
    take(std::move(outcome), kept);
    if (objective == Objective::kText) {
      report.longest = kept.report.longest;
      report.skipped_unsupervised = kept.report.skipped_unsupervised;
      for (const auto& document : kept.examples) rows.add(document);
      return;
    }
    report = kept.report;
    for (const auto& example : kept.examples) writer.add(example, weight);
  }
  void keep(const Example& row, double weight) {
    ++report.examples;
    report.tokens += row.length();
    report.supervised_tokens += row.supervised_tokens;
    writer.add(row, weight);
  }

  ExampleWriter writer;
  FormatReport report;
  TextBlocks rows;
};

void need_examples(const Dataset& dataset) {
  for (const auto& set : dataset.sets)
    if (set.train + set.held_out == 0)
      throw DataError({.who = "data.sets: '" + set.name + "'", .found = fmt::format("no record left of {}", set.read + set.broken),
                       .expected = "at least one", .remedy = "look at its `where` and `limit`, and at data.deduplicate"});
  if (dataset.train.empty())
    throw DataError({.who = join(dataset.files), .found = "no example left to learn from: " + dataset.train_report.summary(),
                     .expected = "at least one", .remedy = "raise data.max_tokens, or look at `herd data audit`"});
}

// Fills in all that the records decide.
void build(Dataset& out, const DataOptions& options, const Tokenizer& tokenizer, std::vector<ResolvedSet> sets, Side& train, Side& held_out,
           const LoadListener& listener) {
  Mix mix(options, std::move(sets), listener);
  const Formatter format(tokenizer, options);
  for (auto block = mix.next(); !block.empty(); block = mix.next()) {
    std::vector<std::vector<Formatter::Outcome>> outcomes(block.size());
    parallel_for(static_cast<std::int64_t>(block.size()), options.threads, [&](std::int64_t i) {
      outcomes[static_cast<std::size_t>(i)] = format(block[static_cast<std::size_t>(i)].record, mix.files());
    });
    for (std::size_t i = 0; i < block.size(); ++i) {
      auto& side = block[i].held_out ? held_out : train;
      ++side.report.records;
      for (auto& outcome : outcomes[i]) side.add(std::move(outcome), block[i].held_out ? 1 : block[i].record.weight, options.objective);
    }
  }
  for (auto* side : {&train, &held_out}) side->rows.finish();
  out.sets = mix.reports();
  out.train = train.writer.finish();
  out.held_out = held_out.writer.finish();
  out.train_report = train.report;
  out.held_out_report = held_out.report;
  if (options.held_out > 0 && out.held_out_report.records == 0)
    throw ConfigError({.who = "data.held_out", .found = fmt::format("{:g} of {} records, which holds none back", options.held_out, out.train_report.records),
                       .expected = "a fraction that takes some of so few, or their number", .remedy = "data.held_out=1"});
  need_examples(out);
}

// Of data that are streamed nothing is kept but what is held out, of the beginning alone.
void sample_held_out(Dataset& out, const DataOptions& options, const Tokenizer& tokenizer, std::vector<ResolvedSet> sets, const LoadListener& listener) {
  constexpr std::int64_t kRead = 100'000;
  RecordStream stream(options, std::move(sets));
  if (options.held_out == 0) return;
  const Formatter format(tokenizer, options);
  Side held_out({}, options.max_tokens);
  std::int64_t read = 0;
  for (auto window = stream.next(); !window.empty() && read < kRead; window = stream.next()) {
    read += std::ssize(window);
    tell(listener, "looking for what is held out", read);
    for (const auto& mixed : window) {
      if (!mixed.held_out) continue;
      ++held_out.report.records;
      for (auto& outcome : format(mixed.record, stream.files())) held_out.add(std::move(outcome), 1, options.objective);
    }
  }
  held_out.rows.finish();
  out.held_out = held_out.writer.finish();
  out.held_out_report = held_out.report;
  if (out.held_out.empty())
    throw ConfigError({.who = "data.held_out", .found = fmt::format("{:g}, which holds back none of the first {} records", options.held_out, read),
                       .expected = "a fraction that takes some of them", .remedy = "raise it, or set it to 0"});
}

}  // namespace

std::vector<std::string> Dataset::summary() const {
  std::vector<std::string> lines{streamed ? fmt::format("train: streamed from {}", plural(std::ssize(files), "file")) : "train: " + train_report.summary()};
  if (held_out_report.records) lines.push_back("held out: " + held_out_report.summary());
  for (const auto& set : sets) {
    std::vector<std::string> told;
    const auto tell = [&](std::int64_t count, const char* what) {
      if (count) told.push_back(with_thousands(count) + " " + what);
    };
    tell(set.broken, "broken and left out");
    tell(set.filtered, "left out by where");
    tell(set.duplicates, "left out as duplicates");
    tell(set.over_limit, "left out by the limit");
    tell(set.without_input, set.without_input == 1 ? "record without a field 'input': read as empty" : "records without a field 'input': read as empty");
    tell(set.dropped_turns, "turns before the first question left out");
    if (told.empty()) continue;
    lines.push_back(fmt::format("{}: {} records; {}", set.name, with_thousands(set.train + set.held_out), join(told)));
    for (const auto& reason : set.reasons) lines.push_back("  " + reason);
  }
  return lines;
}

Dataset load_dataset(const DataOptions& options, const Tokenizer& tokenizer, const LoadListener& listener) {
  Dataset out;
  const auto text = template_for(options.template_name, tokenizer);
  out.template_name = text->name;
  out.template_fingerprint = text->fingerprint;
  out.template_text = text->text;
  out.tokenizer_fingerprint = tokenizer.fingerprint;
  out.pad_token = tokenizer.pad.value_or(tokenizer.eos.value_or(0));

  auto sets = resolve_sets(options);
  for (const auto& set : sets) out.files.insert(out.files.end(), set.files.begin(), set.files.end());
  out.file_fingerprints = file_fingerprints(out.files, options.threads, !options.streaming, listener);
  const auto key = dataset_key(options, sets, out);
  out.fingerprint = fingerprint(fmt::format("{} {} {} {}", key, options.packing, options.group_by_length, options.seed));

  out.streamed = options.streaming;
  if (options.streaming) return sample_held_out(out, options, tokenizer, std::move(sets), listener), out;
  const auto in_memory = [&] {
    Side train({}, options.max_tokens), held_out({}, options.max_tokens);
    build(out, options, tokenizer, std::move(sets), train, held_out, listener);
  };
  const auto folder = cache_folder(options, out.files);
  if (folder.empty()) return in_memory(), out;
  DatasetCache cache(folder, key);
  if (cache.read(out)) return out;
  const auto lock = cache.lock(listener);
  if (cache.read(out)) return out;  // made by another meanwhile
  cache.write(out, [&](const std::filesystem::path& staging) {
    Side train(ExampleWriter(staging / "train.examples"), options.max_tokens), held_out(ExampleWriter(staging / "held_out.examples"), options.max_tokens);
    build(out, options, tokenizer, std::move(sets), train, held_out, listener);
  });
  return out;
}

}  // namespace herd
