#pragma once
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <exception>
#include <functional>
#include <limits>
#include <mutex>
#include <thread>
#include <vector>

namespace herd {

/// Calls `body(i)` for every i in [0, count) on up to `threads` threads (0: one a core). `body` must be safe to call at once for
/// different i. Of several exceptions the one of the least i is thrown, so that a message does not depend on the threads' luck.
/// @param chunk how many are handed out at a time: 1 where each is long.
inline void parallel_for(std::int64_t count, int threads, const std::function<void(std::int64_t)>& body, std::int64_t chunk = 64) {
  const auto cores = threads > 0 ? threads : static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  const auto workers = std::min<std::int64_t>(cores, (count + chunk - 1) / chunk);
  std::atomic<std::int64_t> next = 0;
  std::mutex mutex;
  std::int64_t failed_at = std::numeric_limits<std::int64_t>::max();
  std::exception_ptr failure;

  // Chunks are handed out in order, so every chunk before a failed one has been started and runs to its end.
  const auto work = [&] {
    for (;;) {
      const auto begin = next.fetch_add(chunk);
      if (begin >= count) return;
      for (auto i = begin; i < std::min(begin + chunk, count); ++i) {
        try {
          body(i);
        } catch (...) {
          next = count;
          const std::lock_guard lock(mutex);
          if (i < failed_at) {
            failed_at = i;
            failure = std::current_exception();
          }
          return;
        }
      }
    }
  };
  std::vector<std::jthread> pool;
  for (std::int64_t i = 1; i < workers; ++i) pool.emplace_back(work);
  work();
  pool.clear();  // joins
  if (failure) std::rethrow_exception(failure);
}

}  // namespace herd
