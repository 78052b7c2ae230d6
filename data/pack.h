#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace herd {

/// Rows of examples: row i holds examples members[begins[i]] … members[begins[i + 1] − 1], one after another.
struct RowList {
  std::vector<std::int64_t> members;
  std::vector<std::int64_t> begins{0};

  std::int64_t size() const { return static_cast<std::int64_t>(begins.size()) - 1; }
  std::span<const std::int64_t> operator[](std::int64_t row) const;
};

/// One example a row, in `order`.
RowList single_rows(std::span<const std::int64_t> order);

/// Several examples a row of at most `max_tokens` tokens: first fit, in `order`, over the `kOpenRows` rows begun last. Rows come out in
/// the order in which they were begun. A pure function of its arguments: which rank takes which row does not enter.
/// @param lengths of all examples, by example, in tokens; none may exceed max_tokens (ShapeError).
RowList pack_rows(std::span<const std::int64_t> order, std::span<const std::int64_t> lengths, std::int64_t max_tokens);

/// Few enough to stay near the sample order and to cost little an example, enough to fill rows (96 % on Alpaca at 512).
inline constexpr std::size_t kOpenRows = 64;

}  // namespace herd
