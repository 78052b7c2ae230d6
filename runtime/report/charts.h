#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "runtime/report/picture.h"

namespace herd {

/// A part of a whole, or a thing among others.
struct Amount {
  std::string name;
  std::int64_t count = 0;
};

/// The greatest first (equal ones by name), and all behind the first `most - 1` as one, `other (N)`.
std::vector<Amount> greatest(std::vector<Amount> amounts, std::size_t most);

/// A disc cut into parts of the whole, with a legend that tells each part's count and share. Parts without a count are left out.
Picture pie_chart(const std::string& title, const std::vector<Amount>& amounts);

/// A bar a line, as long as its count is beside the greatest, with the count.
Picture bar_chart(const std::string& title, const std::vector<Amount>& amounts);

/// How many things have which length. Past the 99.5th percentile, all are in the last bar. @param mark a length to mark by a line, with its
/// name.
struct LengthMark {
  std::int64_t length = 0;
  std::string name;  ///< empty: no mark
};
Picture length_chart(const std::string& title, const std::map<std::int64_t, std::int64_t>& counts, const std::string& unit,
                     const LengthMark& mark = {});

}  // namespace herd
