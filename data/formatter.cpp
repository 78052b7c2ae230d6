#include "data/formatter.h"

#include <fmt/format.h>

#include <algorithm>

#include "data/template/chat_template.h"
#include "runtime/base/error.h"
#include "runtime/base/parallel_for.h"
#include "runtime/base/text.h"

namespace herd {
namespace {

[[noreturn]] void fail_overlong(const Record& record, std::span<const std::string> files, std::int64_t length, std::int64_t max_tokens) {
  throw DataError({.who = describe(record.source, files),
                   .found = fmt::format("{} tokens", length),
                   .expected = fmt::format("at most {} (data.max_tokens)", max_tokens),
                   .remedy = "raise data.max_tokens, or set data.overlong to truncate or skip"});
}

std::string why_nothing(const Record& record, TrainOn train_on, std::int64_t first_written) {
  if (train_on == TrainOn::kRecord) return "no turn marked as supervised with a text, so no token to learn";
  if (record.turns.empty() || record.turns.back().text.empty()) return "an empty output, so no token to learn";
  return fmt::format("a prompt of {} tokens, so no token to learn within max_tokens", first_written);
}

[[noreturn]] void fail_unsupervised(const Record& record, std::span<const std::string> files, const std::string& found, std::int64_t max_tokens) {
  throw DataError({.who = describe(record.source, files),
                   .found = found,
                   .expected = fmt::format("part of an answer within the first {} tokens (data.max_tokens)", max_tokens),
                   .remedy = "mend the record, raise data.max_tokens, or set data.unsupervised to skip"});
}

void check_objective(const Record& record, std::span<const std::string> files, Objective objective) {
  const bool is_text = record.turns.size() == 1 && record.turns[0].role == Role::kText;
  if (is_text == (objective == Objective::kText)) return;
  throw DataError({.who = describe(record.source, files),
                   .found = is_text ? "plain text" : "a conversation",
                   .expected = is_text ? "a conversation (data.objective is instructions)" : "plain text (data.objective is text)",
                   .remedy = is_text ? "data.objective=text goes on with pre-training; instructions want other files" : "leave data.objective out"});
}

bool is_answer(const Turn& turn) { return turn.role == Role::kAssistant; }

}  // namespace

Formatter::Formatter(const Tokenizer& tokenizer, const DataOptions& options) : Formatter(tokenizer, options, template_for(options.template_name, tokenizer)) {}

Formatter::Formatter(const Tokenizer& tokenizer, const DataOptions& options, std::shared_ptr<const Template> text)
    : tokenizer_(tokenizer), options_(options), template_(std::move(text)), encode_(tokenizer) {
  if (!tokenizer.eos)
    throw DataError({.who = "tokenizer", .found = "no end-of-sequence token", .expected = "one to end each answer with",
                     .remedy = "name eos_token in tokenizer_config.json"});
  if (options.max_tokens < 2)
    throw ConfigError({.who = "data.max_tokens", .found = std::to_string(options.max_tokens), .expected = "at least 2", .remedy = ""});
}

std::vector<Formatter::Outcome> Formatter::operator()(const Record& record, std::span<const std::string> files) const {
  check_objective(record, files, options_.objective);
  std::vector<Outcome> out;
  if (!template_->one_answer || rounds_of(record) < 2) {
    out.push_back(example_of(record, files));
    return out;
  }
  auto until = record;  // each answer last in its turn
  for (std::size_t i = record.turns.size(); i-- > 0;) {
    const auto last = static_cast<std::int32_t>(i);
    if (!is_answer(record.turns[i]) || (!out.empty() && !learns(record, last))) continue;
    until.turns.resize(i + 1);
    out.push_back(example_of(until, files));
    if (options_.train_on == TrainOn::kAll || options_.train_on == TrainOn::kLastResponse) break;
  }
  std::reverse(out.begin(), out.end());
  if (out.empty()) out.push_back(example_of(record, files));
  return out;
}

bool Formatter::learns(const Record& record, std::int32_t turn) const {
  const auto& said = record.turns[static_cast<std::size_t>(turn)];
  if (said.text.empty()) return false;
  switch (options_.train_on) {
    case TrainOn::kAll: return true;
    case TrainOn::kResponse: return said.supervised.value_or(true);
    case TrainOn::kRecord: return said.supervised.value_or(false);
    case TrainOn::kLastResponse: break;
  }
  const auto last = std::find_if(record.turns.rbegin(), record.turns.rend(), is_answer);
  return said.supervised.value_or(true) && last != record.turns.rend() && &*last == &said;
}

Formatter::Outcome Formatter::example_of(const Record& record, std::span<const std::string> files) const {
  auto pieces = render(*template_, record);
  const auto last_turn = static_cast<std::int32_t>(record.turns.size()) - 1;
  if (template_->one_answer)
    for (auto& piece : pieces) piece.written = piece.written && piece.turn == last_turn;
  auto encoded = encode_(pieces, template_->special);

  Outcome out;
  out.full_length = static_cast<std::int64_t>(encoded.ids.size());
  out.example.source = record.source;
  const bool whole = options_.objective == Objective::kText;
  if (out.full_length > options_.max_tokens && !whole) {
    if (options_.overlong == Overlong::kError) fail_overlong(record, files, out.full_length, options_.max_tokens);
    out.fate = options_.overlong == Overlong::kSkip ? Fate::kOverlong : Fate::kTruncated;
    encoded.ids.resize(static_cast<std::size_t>(options_.max_tokens));
  }
  auto& example = out.example;
  example.tokens = std::move(encoded.ids);
  example.supervised.assign(example.tokens.size(), 0);
  auto first_written = out.full_length;
  for (const auto& span : encoded.spans) {
    if (span.written) first_written = std::min(first_written, static_cast<std::int64_t>(span.begin));
    if (options_.train_on != TrainOn::kAll && !(span.written && learns(record, span.turn))) continue;
    for (auto i = std::max<std::size_t>(span.begin, 1); i < std::min(span.end, example.tokens.size()); ++i) example.supervised[i] = 1;
  }
  example.supervised_tokens = std::count(example.supervised.begin(), example.supervised.end(), 1);
  if (example.supervised_tokens == 0 && out.fate != Fate::kOverlong) {
    if (options_.unsupervised == Unsupervised::kError)
      fail_unsupervised(record, files, why_nothing(record, options_.train_on, first_written), options_.max_tokens);
    out.fate = Fate::kUnsupervised;
  }
  return out;
}

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

void take(Formatter::Outcome outcome, Formatted& out) {
  auto& report = out.report;
  const auto length = outcome.example.length();
  report.longest = std::max(report.longest, outcome.full_length);
  if (outcome.fate == Formatter::Fate::kOverlong) {
    ++report.skipped_overlong;
  } else if (outcome.fate == Formatter::Fate::kUnsupervised) {
    ++report.skipped_unsupervised;
  } else {
    ++report.examples;
    report.tokens += length;
    report.supervised_tokens += outcome.example.supervised_tokens;
    if (outcome.fate == Formatter::Fate::kTruncated) {
      ++report.truncated;
      report.tokens_cut += outcome.full_length - length;
    }
    out.examples.push_back(std::move(outcome.example));
  }
}

Formatted format_records(const Records& records, const Tokenizer& tokenizer, const DataOptions& options) {
  const Formatter format(tokenizer, options);
  std::vector<std::vector<Formatter::Outcome>> outcomes(records.records.size());
  parallel_for(static_cast<std::int64_t>(outcomes.size()), options.threads, [&](std::int64_t i) {
    outcomes[static_cast<std::size_t>(i)] = format(records.records[static_cast<std::size_t>(i)], records.files);
  });
  Formatted out;
  out.report.records = static_cast<std::int64_t>(records.records.size());
  for (auto& of_record : outcomes)
    for (auto& outcome : of_record) take(std::move(outcome), out);
  return out;
}

}  // namespace herd
