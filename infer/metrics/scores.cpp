#include "infer/metrics/scores.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "runtime/base/error.h"

namespace herd {
namespace {

void require_pairs(std::size_t one, std::size_t other, const char* who, const char* expected) {
  if (one == other && one > 0) return;
  throw DataError({.who = who, .found = fmt::format("{} and {}", one, other), .expected = expected, .remedy = ""});
}

double ratio(std::int64_t part, std::int64_t whole) { return whole ? static_cast<double>(part) / static_cast<double>(whole) : 0; }

/// Of a label, or of several together.
struct Tally {
  std::int64_t right = 0, answered = 0, meant = 0;
};

Tally tally(const Confusion& confusion, const std::string& label) {
  const auto place = std::find(confusion.labels.begin(), confusion.labels.end(), label);
  if (place == confusion.labels.end()) return {};
  const auto at = static_cast<std::size_t>(place - confusion.labels.begin());
  Tally out{.right = confusion.counts[at][at]};
  for (std::size_t other = 0; other < confusion.labels.size(); ++other) {
    out.answered += confusion.counts[other][at];
    out.meant += confusion.counts[at][other];
  }
  return out;
}

}  // namespace

std::int64_t Confusion::total() const {
  std::int64_t sum = 0;
  for (const auto& row : counts) sum = std::accumulate(row.begin(), row.end(), sum);
  return sum;
}

std::int64_t Confusion::right() const {
  std::int64_t sum = 0;
  for (std::size_t i = 0; i < labels.size(); ++i) sum += counts[i][i];
  return sum;
}

Confusion confusion(std::span<const std::string> references, std::span<const std::string> answers) {
  require_pairs(references.size(), answers.size(), "references and answers", "as many of both, one at least");
  std::set<std::string> labels(references.begin(), references.end());
  labels.insert(answers.begin(), answers.end());
  Confusion out{.labels = {labels.begin(), labels.end()}};
  out.counts.assign(labels.size(), std::vector<std::int64_t>(labels.size()));
  const auto place = [&](const std::string& label) {
    return static_cast<std::size_t>(std::lower_bound(out.labels.begin(), out.labels.end(), label) - out.labels.begin());
  };
  for (std::size_t i = 0; i < references.size(); ++i) ++out.counts[place(references[i])][place(answers[i])];
  return out;
}

F1Scores f1_scores(const Confusion& confusion, std::span<const std::string> of) {
  if (of.empty()) of = confusion.labels;
  F1Scores out;
  Tally all;
  std::set<std::string> seen;
  for (const auto& label : of) {
    if (!seen.insert(label).second)
      throw DataError({.who = "labels", .found = "'" + label + "' twice", .expected = "each once", .remedy = ""});
    const auto [right, answered, meant] = tally(confusion, label);
    out.labels.push_back({label, ratio(right, answered), ratio(right, meant), ratio(2 * right, answered + meant), meant});
    out.macro += out.labels.back().f1 / static_cast<double>(of.size());
    all.right += right;
    all.answered += answered;
    all.meant += meant;
  }
  out.micro = ratio(2 * all.right, all.answered + all.meant);
  return out;
}

CategoryTable by_category(std::span<const std::string> categories, std::span<const double> scores) {
  require_pairs(categories.size(), scores.size(), "categories and scores", "as many of both, one at least");
  CategoryTable out{.all = {.category = "all"}};
  for (std::size_t i = 0; i < scores.size(); ++i) {
    auto row = std::find_if(out.categories.begin(), out.categories.end(), [&](const auto& c) { return c.category == categories[i]; });
    if (row == out.categories.end()) row = out.categories.insert(row, {.category = categories[i]});
    for (auto* sums : {&*row, &out.all}) {
      ++sums->count;
      sums->mean += scores[i];
    }
  }
  out.all.mean /= static_cast<double>(out.all.count);
  for (auto& row : out.categories) {
    row.mean /= static_cast<double>(row.count);
    out.macro += row.mean / static_cast<double>(out.categories.size());
  }
  return out;
}

}  // namespace herd
