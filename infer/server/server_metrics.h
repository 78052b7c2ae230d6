#pragma once
#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <utility>

namespace herd {

/// What a server counts, for Prometheus. Any thread.
class ServerMetrics {
 public:
  /// @param path of a route, never of a client's own making: each is a series for ever.
  void answered(const std::string& path, int code);
  void read_tokens(std::size_t count);
  void made_tokens(std::size_t count);
  void first_token(double seconds);

  struct Now {
    std::int64_t waiting = 0, growing = 0;
    bool ready = false;
  };
  /// In Prometheus' text format 0.0.4.
  std::string text(const Now& now) const;

 private:
  // Bounds of time to first token, in seconds.
  static constexpr std::array kBounds{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0};
  static constexpr std::int64_t kWindow = 10;  // seconds that the speed is taken over
  struct Second {
    std::int64_t number = -1;
    std::uint64_t tokens = 0;
  };
  double tokens_a_second() const;

  mutable std::mutex mutex_;
  std::map<std::pair<std::string, int>, std::uint64_t> answered_;
  std::uint64_t read_tokens_ = 0, made_tokens_ = 0;
  std::array<std::uint64_t, kBounds.size()> first_{};  // of each bound alone; text() sums them up
  std::uint64_t first_count_ = 0;
  double first_sum_s_ = 0;
  std::array<Second, kWindow + 1> seconds_{};
};

}  // namespace herd
