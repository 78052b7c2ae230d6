#include "launch/calibration.h"

#include <algorithm>
#include <span>

#include "data/readers/reader.h"
#include "runtime/base/file.h"
#include "runtime/base/text.h"

namespace herd {
namespace {

namespace fs = std::filesystem;
using Tokens = std::span<const std::int64_t>;

std::string text_of(const Record& record) {
  std::string text;
  for (const auto& turn : record.turns)
    for (const auto* part : {&turn.text, &turn.input})
      if (!part->empty()) text += (text.empty() ? "" : "\n") + *part;
  return text;
}

std::vector<std::string> texts_of(const fs::path& file) {
  if (file.extension() != ".json" && file.extension() != ".jsonl") return {read_file(file)};
  std::vector<std::string> texts;
  const std::vector<std::string> files{file.string()};
  for (const auto& record : read_records(files).records) texts.push_back(text_of(record));
  return texts;
}

std::vector<std::int64_t> window(Tokens all, std::int64_t begin, std::int64_t tokens) {
  const auto part = all.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(tokens));
  return {part.begin(), part.end()};
}

std::int64_t count_of(Tokens all) { return static_cast<std::int64_t>(all.size()); }

TokenWindows spread(Tokens all, std::int64_t samples, std::int64_t tokens) {
  TokenWindows windows;
  const auto count = std::min(samples, (count_of(all) + tokens - 1) / tokens);
  for (std::int64_t i = 0; i < count; ++i) windows.push_back(window(all, count == 1 ? 0 : (count_of(all) - tokens) * i / (count - 1), tokens));
  return windows;
}

TokenWindows side_by_side(Tokens all, std::int64_t samples, std::int64_t tokens) {
  TokenWindows windows;
  for (std::int64_t i = 0; i < std::min(samples, count_of(all) / tokens); ++i) windows.push_back(window(all, i * tokens, tokens));
  return windows;
}

void need(Tokens all, std::int64_t tokens, const fs::path& file, const std::string& remedy) {
  if (count_of(all) >= tokens) return;
  throw DataError({.who = file.string(), .found = plural(count_of(all), "token"), .expected = "at least " + std::to_string(tokens) + ", one sample", .remedy = remedy});
}

}  // namespace

std::vector<std::int64_t> read_tokens(const fs::path& file, const Tokenizer& tokenizer) {
  std::vector<std::int64_t> all;
  for (const auto& text : texts_of(file)) {
    const auto ids = tokenizer.encode(text);
    all.insert(all.end(), ids.begin(), ids.end());
  }
  return all;
}

Calibration read_calibration(const fs::path& file, const fs::path& evaluate, std::int64_t samples, std::int64_t tokens, const Tokenizer& tokenizer) {
  const auto all = read_tokens(file, tokenizer);
  const auto kept = evaluate.empty() ? std::max(tokens, count_of(all) / 10) : 0;
  need(all, kept + tokens, file, "a longer text, a smaller --tokens" + std::string(evaluate.empty() ? ", or --evaluate FILE: a sample is held out of this one" : ""));
  const auto cut = static_cast<std::size_t>(count_of(all) - kept);
  const auto other = evaluate.empty() ? std::vector<std::int64_t>() : read_tokens(evaluate, tokenizer);
  const auto measured = evaluate.empty() ? Tokens(all).subspan(cut) : Tokens(other);
  need(measured, tokens, evaluate.empty() ? file : evaluate, "a longer text, or a smaller --tokens");
  return {.shown = spread(Tokens(all).first(cut), samples, tokens), .held_out = side_by_side(measured, samples, tokens)};
}

}  // namespace herd
