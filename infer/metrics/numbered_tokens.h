#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

namespace herd {

/// Tokens as numbers from 0, the same for the same text: what compares tokens many times compares these.
class TokenNumbers {
 public:
  std::vector<std::int32_t> of(std::span<const std::string> tokens);
  std::size_t size() const { return numbers_.size(); }

 private:
  std::unordered_map<std::string, std::int32_t> numbers_;
};

}  // namespace herd
