#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace herd {

/// How often each length came, exactly. Memory holds one number a different length.
struct Lengths {
  std::map<std::int64_t, std::int64_t> counts;
  std::int64_t number = 0, total = 0;

  void add(std::int64_t length);
  double mean() const { return number ? static_cast<double>(total) / static_cast<double>(number) : 0; }
  /// The least length that `part` of all do not exceed (nearest rank); 0 where there are none.
  std::int64_t quantile(double part) const;
  std::int64_t longest() const { return counts.empty() ? 0 : counts.rbegin()->first; }
};

struct CountedTerm {
  std::string term;
  std::int64_t count = 0;
  bool operator==(const CountedTerm&) const = default;
};

/// How often terms come, in a table of at most `capacity` of them between two looks: when it is twice as full, all counts are lowered by
/// the greatest that must go, and terms at 0 leave it (Misra & Gries 1982, in the form of Agarwal et al. 2012). A count is then too low
/// by at most `error()`, which is at most the sum of all counts / capacity; while it is 0, every count is exact.
class TermCounter {
 public:
  explicit TermCounter(std::size_t capacity) : capacity_(capacity) {}
  void add(std::string_view term, std::int64_t times = 1);
  std::int64_t error() const { return error_; }
  std::int64_t total() const { return total_; }  ///< of all that were added, exactly
  std::size_t kept() const { return counts_.size(); }
  /// The `most` greatest, equal ones by their bytes.
  std::vector<CountedTerm> top(std::size_t most) const;

 private:
  struct Hash : std::hash<std::string_view> {
    using is_transparent = void;
  };
  void prune();

  std::size_t capacity_;
  std::unordered_map<std::string, std::int64_t, Hash, std::equal_to<>> counts_;
  std::int64_t error_ = 0, total_ = 0;
};

}  // namespace herd
