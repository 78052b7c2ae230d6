#include "data/pack.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <numeric>

#include "runtime/base/error.h"
#include "runtime/base/random.h"

namespace herd {
namespace {

using Members = std::vector<std::int64_t>;

void check_length(std::int64_t example, std::int64_t length, std::int64_t max_tokens) {
  if (length > max_tokens)
    throw ShapeError({.who = fmt::format("example {}", example), .found = fmt::format("{} tokens", length),
                      .expected = fmt::format("at most {} in a row", max_tokens), .remedy = ""});
}

/// `window`, the longest first; of equal ones the earlier.
Members by_length(std::span<const std::int64_t> window, std::span<const std::int64_t> lengths) {
  Members out(window.begin(), window.end());
  std::stable_sort(out.begin(), out.end(), [&](auto a, auto b) { return lengths[static_cast<std::size_t>(a)] > lengths[static_cast<std::size_t>(b)]; });
  return out;
}

/// The rows of one window: each example goes to the row that it fills best, or begins one.
std::vector<Members> best_fit(const Members& longest_first, std::span<const std::int64_t> lengths, std::int64_t max_tokens) {
  std::vector<Members> rows;
  std::map<std::int64_t, std::vector<std::size_t>> by_free;  // rows that have so many places left
  for (const auto example : longest_first) {
    const auto length = lengths[static_cast<std::size_t>(example)];
    check_length(example, length, max_tokens);
    auto fit = by_free.lower_bound(length);
    std::size_t row = rows.size();
    auto free = max_tokens;
    if (fit == by_free.end()) {
      rows.emplace_back();
    } else {
      free = fit->first;
      row = fit->second.back();
      fit->second.pop_back();
      if (fit->second.empty()) by_free.erase(fit);
    }
    rows[row].push_back(example);
    if (free > length) by_free[free - length].push_back(row);
  }
  return rows;
}

void append(RowList& out, std::span<const std::int64_t> row) {
  out.members.insert(out.members.end(), row.begin(), row.end());
  out.begins.push_back(static_cast<std::int64_t>(out.members.size()));
}

/// A random order of `count` things of window `number`.
Members order_of(std::size_t count, RowOrder shuffle, std::size_t number) {
  return permutation(static_cast<std::int64_t>(count), shuffle.seed ^ hash_name("row order"), shuffle.epoch << 32 ^ number);
}

}  // namespace

std::span<const std::int64_t> RowList::operator[](std::int64_t row) const {
  const auto begin = begins.at(static_cast<std::size_t>(row)), end = begins.at(static_cast<std::size_t>(row) + 1);
  return std::span(members).subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin));
}

RowList single_rows(std::span<const std::int64_t> order) {
  RowList out;
  out.members.assign(order.begin(), order.end());
  out.begins.resize(order.size() + 1);
  std::iota(out.begins.begin(), out.begins.end(), 0);
  return out;
}

RowList grouped_rows(std::span<const std::int64_t> order, std::span<const std::int64_t> lengths, std::int64_t rows_a_step, RowOrder shuffle) {
  const auto step = static_cast<std::size_t>(rows_a_step);
  const auto window = std::max(step, kWindow / step * step);  // whole steps, so that no step spans two windows
  Members out;
  for (std::size_t begin = 0, number = 0; begin < order.size(); begin += window, ++number) {
    const auto sorted = by_length(order.subspan(begin, std::min(window, order.size() - begin)), lengths);
    for (const auto which : order_of(sorted.size() / step, shuffle, number)) {
      const auto first = sorted.begin() + which * rows_a_step;
      out.insert(out.end(), first, first + rows_a_step);
    }
    out.insert(out.end(), sorted.end() - static_cast<std::ptrdiff_t>(sorted.size() % step), sorted.end());
  }
  return single_rows(out);
}

RowList pack_rows(std::span<const std::int64_t> order, std::span<const std::int64_t> lengths, std::int64_t max_tokens, RowOrder shuffle) {
  RowList out;
  for (std::size_t begin = 0, number = 0; begin < order.size(); begin += kWindow, ++number) {
    const auto window = order.subspan(begin, std::min(kWindow, order.size() - begin));
    const auto rows = best_fit(by_length(window, lengths), lengths, max_tokens);
    for (const auto row : order_of(rows.size(), shuffle, number)) append(out, rows[static_cast<std::size_t>(row)]);
  }
  return out;
}

}  // namespace herd
