#include "infer/metrics/bm25.h"

#include <algorithm>
#include <cmath>

#include "infer/metrics/tokens.h"

namespace herd {

Bm25Index::Tokens Bm25Index::tokens_of(std::string_view text) {
  auto tokens = numbers_.of(metric_tokens(text, TextTokens::kByLanguage));
  postings_.resize(numbers_.size());
  return tokens;
}

void Bm25Index::add(const Tokens& tokens) {
  const auto number = static_cast<std::uint32_t>(lengths_.size());
  for (const auto token : tokens) {
    auto& postings = postings_[static_cast<std::size_t>(token)];
    if (postings.empty() || postings.back().text != number) {
      tokens_with_.resize(std::max(tokens_with_.size(), postings.size() + 2));
      --tokens_with_[postings.size()];
      ++tokens_with_[postings.size() + 1];
      postings.push_back({number, 0});
    }
    ++postings.back().count;
  }
  lengths_.push_back(static_cast<std::uint32_t>(tokens.size()));
  all_tokens_ += std::ssize(tokens);
}

void Bm25Index::add(std::string_view text) { add(tokens_of(text)); }

std::optional<LikeText> Bm25Index::earlier(std::string_view text) {
  const auto tokens = tokens_of(text);
  const auto found = scores(tokens);
  const auto best = std::ranges::max_element(found);
  if (best != found.end() && *best > bound_) return LikeText{static_cast<std::uint32_t>(best - found.begin()), *best};
  add(tokens);
  return std::nullopt;
}

std::vector<double> Bm25Index::scores(std::string_view question) { return scores(tokens_of(question)); }

double Bm25Index::idf(std::size_t holders) const {
  const auto with = static_cast<double>(holders);
  return std::log(static_cast<double>(size()) - with + 0.5) - std::log(with + 0.5);
}

double Bm25Index::mean_idf() const {
  double sum = 0, tokens = 0;
  for (std::size_t holders = 1; holders < tokens_with_.size(); ++holders) {
    if (tokens_with_[holders] == 0) continue;
    sum += static_cast<double>(tokens_with_[holders]) * idf(holders);
    tokens += static_cast<double>(tokens_with_[holders]);
  }
  return sum / tokens;
}

std::vector<double> Bm25Index::scores(const Tokens& question) const {
  std::vector<double> out(size());
  const auto mean_length = static_cast<double>(all_tokens_) / static_cast<double>(size());
  std::optional<double> least;  // in place of a negative one
  for (const auto token : question) {
    const auto& postings = postings_[static_cast<std::size_t>(token)];
    if (postings.empty()) continue;
    auto weight = idf(postings.size());
    if (weight < 0) {
      if (!least) least = kEpsilon * mean_idf();
      weight = *least;
    }
    for (const auto& [text, times] : postings) {
      const auto count = static_cast<double>(times);
      out[text] += weight * (count * (kK1 + 1) / (count + kK1 * (1 - kB + kB * static_cast<double>(lengths_[text]) / mean_length)));
    }
  }
  return out;
}

}  // namespace herd
