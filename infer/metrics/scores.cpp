#include "infer/metrics/scores.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "runtime/base/error.h"

namespace herd {
namespace {

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

Confusion confusion(std::span<const std::string> references, std::span<const std::string> answers) {
  if (references.size() != answers.size() || references.empty())
    throw DataError({.who = "references and answers",
                     .found = fmt::format("{} and {}", references.size(), answers.size()),
                     .expected = "as many of both, one at least",
                     .remedy = ""});
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

}  // namespace herd
