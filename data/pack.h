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

/// What rows are shuffled by, once they are made.
struct RowOrder {
  std::uint64_t seed = 0, epoch = 0;
};

/// One example a row, so that the rows of a step are of like length: within every kWindow examples of `order` they are sorted by length and cut into
/// steps of `rows_a_step`, which come in a random order. The last, short step stays last.
RowList grouped_rows(std::span<const std::int64_t> order, std::span<const std::int64_t> lengths, std::int64_t rows_a_step, RowOrder shuffle);

/// Several examples a row of at most `max_tokens` tokens. Within every kWindow examples of `order`, a row takes the longest that is left and then what fills it
/// best (after the minimum bin slack rule; Gupta and Ho 1999), tried with the short ones first, and where that leaves more than a fiftieth of the places also with the long ones first, whichever makes fewer rows of the window; a window's rows come in a random order. A pure function of its arguments: which rank takes which row does not enter.
/// @param lengths of all examples, by example, in tokens; none may exceed max_tokens (ShapeError).
RowList pack_rows(std::span<const std::int64_t> order, std::span<const std::int64_t> lengths, std::int64_t max_tokens, RowOrder shuffle);

/// Many enough to fill rows (99 % and more on real records), few enough that an epoch's order stays a random one from end to end.
inline constexpr std::size_t kWindow = 8192;

}  // namespace herd
