#include "data/dataset.h"

#include <fmt/format.h>

#include "data/readers/reader.h"
#include "data/template.h"
#include "runtime/base/error.h"
#include "runtime/base/text.h"

namespace herd {
namespace {

std::string fingerprint_of(const Records& records, const DataOptions& options, const Dataset& dataset) {
  // Hashes of records, hashed: the texts themselves need not be copied together.
  std::string bytes = fmt::format("{} {} {} {} {} {} {} {} {} {}\n", dataset.template_fingerprint, dataset.tokenizer_fingerprint,
                                  options.max_tokens, static_cast<int>(options.train_on), options.packing, options.held_out,
                                  static_cast<int>(options.overlong), static_cast<int>(options.unsupervised), options.seed,
                                  records.records.size());
  for (const auto& record : records.records)
    bytes += fingerprint(content_of(record));
  return fingerprint(bytes);
}

}  // namespace

std::vector<std::string> Dataset::summary() const {
  std::vector lines{"train: " + train_report.summary()};
  if (held_out_report.records) lines.push_back("held out: " + held_out_report.summary());
  if (records_without_input) lines.push_back(fmt::format("no field 'input' in {}: read as empty", plural(records_without_input, "record")));
  return lines;
}

Dataset load_dataset(const DataOptions& options, const Tokenizer& tokenizer) {
  Dataset out;
  out.template_name = options.template_name;
  out.template_fingerprint = template_fingerprint(options.template_name);
  out.tokenizer_fingerprint = tokenizer.fingerprint;

  auto records = read_records(options.sets);
  out.files = records.files;
  out.records_without_input = records.without_input;
  out.fingerprint = fingerprint_of(records, options, out);

  auto split = split_records(std::move(records), options.held_out, options.seed);
  auto train = format_records(split.train, tokenizer, options);
  out.train = std::move(train.examples);
  out.train_report = train.report;
  if (out.train.empty())
    throw DataError({.who = join(out.files), .found = "no example left to learn from: " + out.train_report.summary(),
                     .expected = "at least one", .remedy = "raise data.max_tokens, or look at `herd data audit`"});
  auto held_out = format_records(split.held_out, tokenizer, options);
  out.held_out = std::move(held_out.examples);
  out.held_out_report = held_out.report;
  out.pad_token = tokenizer.pad.value_or(tokenizer.eos.value_or(0));
  return out;
}

}  // namespace herd
