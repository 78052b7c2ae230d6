#include "infer/metrics/rouge_index.h"

#include <fmt/format.h>

#include <algorithm>

#include "infer/metrics/rouge.h"
#include "infer/metrics/tokens.h"
#include "runtime/base/error.h"

namespace herd {
namespace {

using Counts = std::vector<std::pair<std::int32_t, std::int32_t>>;

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

std::int64_t in_common(const Counts& a, const Counts& b) {
  std::int64_t common = 0;
  for (auto i = a.begin(), j = b.begin(); i != a.end() && j != b.end();) {
    if (i->first < j->first) {
      ++i;
    } else if (j->first < i->first) {
      ++j;
    } else {
      common += std::min((i++)->second, (j++)->second);
    }
  }
  return common;
}

}  // namespace

RougeIndex::RougeIndex(double bound) : bound_(bound) {
  if (!(bound >= 0 && bound < 1))
    throw ConfigError({.who = "--rouge", .found = fmt::format("{:g}", bound), .expected = "0 or more, below 1", .remedy = ""});
}

RougeIndex::Text RougeIndex::text_of(std::string_view text) {
  auto tokens = numbers_.of(metric_tokens(text, TextTokens::kByLanguage));
  holders_.resize(numbers_.size());
  auto counts = counted(tokens);
  return {.tokens = std::move(tokens), .counts = std::move(counts)};
}

void RougeIndex::add(Text text) {
  for (const auto& [token, count] : text.counts) holders_[static_cast<std::size_t>(token)].push_back(static_cast<std::uint32_t>(texts_.size()));
  texts_.push_back(std::move(text));
  seen_.push_back(0);
}

void RougeIndex::add(std::string_view text) { add(text_of(text)); }

std::optional<LikeText> RougeIndex::earlier(std::string_view text) {
  auto own = text_of(text);
  if (auto like = most_alike(own)) return like;
  add(std::move(own));
  return std::nullopt;
}

std::vector<std::uint32_t> RougeIndex::in_question(const Text& text) {
  ++search_;
  const auto length = static_cast<double>(text.tokens.size());
  const auto rare_first = [&](const auto& a, const auto& b) {
    const auto of_a = holders_[static_cast<std::size_t>(a.first)].size(), of_b = holders_[static_cast<std::size_t>(b.first)].size();
    return std::pair(of_a, a.first) < std::pair(of_b, b.first);
  };
  auto tokens = text.counts;
  std::ranges::sort(tokens, rare_first);
  // m ≥ t·(a + b) / 2 and b ≥ m give m ≥ a·t / (2 − t): what shares fewer tokens than that is out, whatever its length.
  const auto needed = length * bound_ / (2 - bound_) - kRounding;
  const auto shortest = needed, longest = bound_ > 0 ? length * (2 - bound_) / bound_ + kRounding : 1e18;
  std::vector<std::uint32_t> out;
  auto left = length;
  for (const auto& [token, count] : tokens) {
    if (left < needed) break;
    left -= count;
    for (const auto other : holders_[static_cast<std::size_t>(token)]) {
      if (std::exchange(seen_[other], search_) == search_) continue;
      const auto size = static_cast<double>(texts_[other].tokens.size());
      if (size >= shortest && size <= longest) out.push_back(other);
    }
  }
  std::ranges::sort(out);
  return out;
}

std::optional<LikeText> RougeIndex::most_alike(const Text& text) {
  std::optional<LikeText> best;
  for (const auto other : in_question(text)) {
    const auto& there = texts_[other];
    const auto least = best ? best->score : bound_;
    const auto both = static_cast<double>(text.tokens.size() + there.tokens.size());
    if (2 * static_cast<double>(in_common(text.counts, there.counts)) / both < least - kRounding) continue;
    ++compared_;
    if (const auto score = rouge_l(there.tokens, text.tokens).f; score > least) best = LikeText{other, score};
  }
  return best;
}

}  // namespace herd
