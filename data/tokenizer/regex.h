#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace herd {

/// A Unicode regular expression (ICU) over UTF-8 text. Thread-safe.
class Regex {
 public:
  /// @param who names the pattern's place in an error. @throws DataError where the pattern is not understood.
  Regex(const std::string& pattern, const std::string& who);

  /// Byte ranges [first, second) of the matches, from left to right. `text` must be UTF-8.
  std::vector<std::pair<std::size_t, std::size_t>> find_all(std::string_view text) const;

 private:
  struct Compiled;
  std::shared_ptr<const Compiled> compiled_;
};

}  // namespace herd
