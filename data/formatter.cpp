#include "data/formatter.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <optional>

#include "runtime/base/error.h"
#include "runtime/base/parallel_for.h"
#include "runtime/base/text.h"

namespace herd {
namespace {

/// The prompt's last line that is not empty: enough context to place the answer's first token.
std::string_view last_line(std::string_view prompt) {
  const auto end = prompt.find_last_not_of('\n');
  if (end == prompt.npos) return prompt;
  const auto newline = prompt.rfind('\n', end);
  return newline == prompt.npos ? prompt : prompt.substr(newline + 1);
}

/// Ids of `text` as it follows `anchor`, or none where a token holds parts of both.
std::optional<std::vector<TokenId>> encode_after(const Tokenizer& tokenizer, std::string_view anchor, std::string_view text) {
  const auto anchor_ids = tokenizer.encode(anchor, false);
  auto ids = tokenizer.encode(std::string(anchor).append(text), false);
  if (ids.size() < anchor_ids.size() || !std::equal(anchor_ids.begin(), anchor_ids.end(), ids.begin())) return std::nullopt;
  ids.erase(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(anchor_ids.size()));
  return ids;
}

enum class Fate { kKept, kTruncated, kOverlong, kUnsupervised };

struct Outcome {
  Example example;
  std::int64_t full_length = 0;
  Fate fate = Fate::kKept;
};

class Formatter {
 public:
  Formatter(const Records& records, const Tokenizer& tokenizer, const DataOptions& options)
      : records_(records), tokenizer_(tokenizer), options_(options), template_(templates().at(options.template_name)) {
    if (!tokenizer.eos)
      throw DataError({.who = "tokenizer", .found = "no end-of-sequence token", .expected = "one to end each answer with",
                       .remedy = "name eos_token in tokenizer_config.json"});
    if (options.max_tokens < 2)
      throw ConfigError({.who = "data.max_tokens", .found = std::to_string(options.max_tokens), .expected = "at least 2", .remedy = ""});
  }

  Outcome operator()(const Record& record) const {
    const auto prompt = template_.prompt(record), answer = template_.answer(record);
    auto ids = encode_prompt(tokenizer_, prompt);
    const auto prompt_length = ids.size();
    const auto answer_ids = encode_answer(tokenizer_, prompt, answer);
    ids.insert(ids.end(), answer_ids.begin(), answer_ids.end());
    ids.push_back(*tokenizer_.eos);

    Outcome out;
    out.full_length = static_cast<std::int64_t>(ids.size());
    out.example.source = record.source;
    if (out.full_length > options_.max_tokens) {
      if (options_.overlong == Overlong::kError) fail_overlong(record, out.full_length);
      out.fate = options_.overlong == Overlong::kSkip ? Fate::kOverlong : Fate::kTruncated;
      ids.resize(static_cast<std::size_t>(options_.max_tokens));
    }
    supervise(out.example, std::move(ids), prompt_length, answer_ids.empty());
    if (out.example.supervised_tokens == 0 && out.fate != Fate::kOverlong) {
      if (options_.unsupervised == Unsupervised::kError) fail_unsupervised(record, prompt_length);
      out.fate = Fate::kUnsupervised;
    }
    return out;
  }

 private:
  void supervise(Example& example, std::vector<TokenId> ids, std::size_t prompt_length, bool no_answer) const {
    const bool all = options_.train_on == TrainOn::kAll;
    const auto first = all ? 1 : no_answer ? ids.size() : std::max<std::size_t>(1, std::min(prompt_length, ids.size()));
    example.supervised.assign(ids.size(), 0);
    for (auto i = first; i < ids.size(); ++i) example.supervised[i] = 1;
    example.supervised_tokens = static_cast<std::int64_t>(ids.size() - std::min(first, ids.size()));
    example.tokens = std::move(ids);
  }

  [[noreturn]] void fail_overlong(const Record& record, std::int64_t length) const {
    throw DataError({.who = describe(record.source, records_.files),
                     .found = fmt::format("{} tokens", length),
                     .expected = fmt::format("at most {} (data.max_tokens)", options_.max_tokens),
                     .remedy = "raise data.max_tokens, or set data.overlong to truncate or skip"});
  }

  [[noreturn]] void fail_unsupervised(const Record& record, std::size_t prompt_length) const {
    const auto found = record.turns.back().text.empty() ? std::string("an empty output, so no token to learn")
                                             : fmt::format("a prompt of {} tokens, so no token to learn within max_tokens", prompt_length);
    throw DataError({.who = describe(record.source, records_.files),
                     .found = found,
                     .expected = fmt::format("part of an answer within the first {} tokens (data.max_tokens)", options_.max_tokens),
                     .remedy = "mend the record, raise data.max_tokens, or set data.unsupervised to skip"});
  }

  const Records& records_;
  const Tokenizer& tokenizer_;
  const DataOptions& options_;
  const Template& template_;
};

void add(FormatReport& report, const Outcome& outcome) {
  const auto length = outcome.example.length();
  ++report.records;
  report.longest = std::max(report.longest, outcome.full_length);
  if (outcome.fate == Fate::kOverlong) {
    ++report.skipped_overlong;
  } else if (outcome.fate == Fate::kUnsupervised) {
    ++report.skipped_unsupervised;
  } else {
    ++report.examples;
    report.tokens += length;
    report.supervised_tokens += outcome.example.supervised_tokens;
    if (outcome.fate == Fate::kTruncated) {
      ++report.truncated;
      report.tokens_cut += outcome.full_length - length;
    }
  }
}

}  // namespace

std::string FormatReport::summary() const {
  const auto n = with_thousands;
  auto text = fmt::format("{} records: {} examples, {} tokens, {} supervised ({:.1f} %), longest {}", n(records), n(examples), n(tokens),
                          n(supervised_tokens), tokens ? 100.0 * static_cast<double>(supervised_tokens) / static_cast<double>(tokens) : 0.0,
                          n(longest));
  if (truncated) text += fmt::format("; {} truncated, {} tokens cut", n(truncated), n(tokens_cut));
  if (skipped_overlong) text += fmt::format("; {} skipped as longer than max_tokens", n(skipped_overlong));
  if (skipped_unsupervised) text += fmt::format("; {} skipped without a token to learn", n(skipped_unsupervised));
  return text;
}

std::vector<TokenId> encode_prompt(const Tokenizer& tokenizer, std::string_view prompt) { return tokenizer.encode(prompt, true); }

std::vector<TokenId> encode_answer(const Tokenizer& tokenizer, std::string_view prompt, std::string_view answer) {
  if (answer.empty()) return {};
  // Where a token would reach across the prompt's end, generation could never take that path: another anchor then, one that stays apart.
  for (const auto anchor : {last_line(prompt), std::string_view("\n")})
    if (auto ids = encode_after(tokenizer, anchor, answer)) return *ids;
  return tokenizer.encode(answer, false);
}

Formatted format_records(const Records& records, const Tokenizer& tokenizer, const DataOptions& options) {
  const Formatter format(records, tokenizer, options);
  std::vector<Outcome> outcomes(records.records.size());
  parallel_for(static_cast<std::int64_t>(outcomes.size()), options.threads, [&](std::int64_t i) {
    outcomes[static_cast<std::size_t>(i)] = format(records.records[static_cast<std::size_t>(i)]);
  });
  Formatted out;
  for (auto& outcome : outcomes) {
    add(out.report, outcome);
    if (outcome.fate == Fate::kKept || outcome.fate == Fate::kTruncated) out.examples.push_back(std::move(outcome.example));
  }
  return out;
}

}  // namespace herd
