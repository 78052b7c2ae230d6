#include "infer/metrics/numbered_tokens.h"

namespace herd {

std::vector<std::int32_t> TokenNumbers::of(std::span<const std::string> tokens) {
  std::vector<std::int32_t> out;
  out.reserve(tokens.size());
  for (const auto& token : tokens) out.push_back(numbers_.emplace(token, static_cast<std::int32_t>(numbers_.size())).first->second);
  return out;
}

}  // namespace herd
