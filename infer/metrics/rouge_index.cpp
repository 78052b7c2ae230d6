#include "infer/metrics/rouge_index.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "infer/metrics/rouge.h"
#include "infer/metrics/tokens.h"
#include "runtime/base/error.h"

namespace herd {
namespace {

using Counts = std::vector<std::pair<std::int32_t, std::uint32_t>>;  // token, how often; by token

constexpr double kRounding = 1e-9;  // filters let pass what is at the bound; the score itself decides

Counts counted(std::vector<std::int32_t> tokens) {
  std::ranges::sort(tokens);
  Counts out;
  for (const auto token : tokens) {
    if (out.empty() || out.back().first != token) out.emplace_back(token, 0);
    ++out.back().second;
  }
  return out;
}

}  // namespace

RougeIndex::RougeIndex(double bound) : bound_(bound) {
  if (!(bound >= 0 && bound < 1))
    throw ConfigError({.who = "--rouge", .found = fmt::format("{:g}", bound), .expected = "0 or more, below 1", .remedy = ""});
}

RougeIndex::Tokens RougeIndex::tokens_of(std::string_view text) {
  auto tokens = numbers_.of(metric_tokens(text, TextTokens::kByLanguage));
  holders_.resize(numbers_.size());
  return tokens;
}

void RougeIndex::add(Tokens tokens) {
  for (const auto& [token, count] : counted(tokens))
    holders_[static_cast<std::size_t>(token)].push_back({static_cast<std::uint32_t>(texts_.size()), count});
  texts_.push_back(std::move(tokens));
  common_.push_back(0);
}

void RougeIndex::add(std::string_view text) { add(tokens_of(text)); }

std::optional<LikeText> RougeIndex::earlier(std::string_view text) {
  auto tokens = tokens_of(text);
  if (auto like = most_alike(tokens)) return like;
  add(std::move(tokens));
  return std::nullopt;
}

std::vector<LikeText> RougeIndex::in_question(const Tokens& tokens) {
  auto counts = counted(tokens);
  std::ranges::sort(counts, {},
                    [&](const auto& one) { return std::pair(holders_[static_cast<std::size_t>(one.first)].size(), one.first); });
  // m > t·(a + b) / 2 and b ≥ m give m > a·t / (2 − t): a text that shares none of the rarer tokens has too few.
  const auto length = static_cast<double>(tokens.size());
  const auto needed = length * bound_ / (2 - bound_) - kRounding;
  std::vector<std::uint32_t> found;
  auto left = length;
  for (const auto& [token, count] : counts) {
    const bool rare = left >= needed;
    left -= count;
    for (const auto& [text, times] : holders_[static_cast<std::size_t>(token)]) {
      auto& common = common_[text];
      if (common == 0 && !rare) continue;
      if (common == 0) found.push_back(text);
      common += std::min(times, count);
    }
  }
  std::vector<LikeText> out;
  for (const auto text : found) {
    const auto most = 2.0 * std::exchange(common_[text], 0) / (length + static_cast<double>(texts_[text].size()));
    if (most > bound_ - kRounding) out.push_back({text, most});
  }
  return out;
}

std::optional<LikeText> RougeIndex::most_alike(const Tokens& tokens) {
  auto candidates = in_question(tokens);
  std::ranges::sort(candidates,
                    [](const LikeText& a, const LikeText& b) { return a.score != b.score ? a.score > b.score : a.number < b.number; });
  std::optional<LikeText> best;
  for (const auto& [number, most] : candidates) {
    if (best && most < best->score - kRounding) break;
    ++compared_;
    const auto score = rouge_l(texts_[number], tokens).f;
    if (score > bound_ && (!best || score > best->score || (score == best->score && number < best->number))) best = LikeText{number, score};
  }
  return best;
}

}  // namespace herd
