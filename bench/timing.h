#pragma once
#include <algorithm>
#include <chrono>
#include <vector>

namespace herd {

/// By the wall clock.
template <class F>
double seconds(F f) {
  const auto began = std::chrono::steady_clock::now();
  f();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
}

inline double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

}  // namespace herd
