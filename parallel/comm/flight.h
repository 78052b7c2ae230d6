#pragma once
#include <array>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace herd {

/// The last operations of one rank, in a ring; kept in memory until attach() moves it into a memory-mapped file, which the kernel
/// keeps when the process is killed.
struct FlightRecord {
  enum State : std::uint32_t { kEmpty, kUnderWay, kDone, kFailed };
  std::uint64_t number = 0;    ///< 1, 2, … in this process
  std::uint64_t sequence = 0;  ///< within its communicator
  std::uint64_t bytes = 0;
  std::int64_t entered_us = 0, left_us = 0;  ///< wall clock, microseconds since 1970
  State state = kEmpty;
  char group[28] = {};  ///< its communicator, by the same name on all of its ranks: `all`, `all/2.0` (split #2, color 0)
  char text[88] = {};   ///< what it was, cut to fit
};
static_assert(sizeof(FlightRecord) == 160);

/// What read_flight finds.
struct Flight {
  int rank = 0, size = 0, process = 0;
  std::string host;
  std::int64_t alive_us = 0;  ///< when the rank's watchdog last said so; 0 without one
  std::int64_t silent_us = 0, silent_until_us = 0;  ///< the last time that it was silent for over a second: how long, and until when
  std::string activity;       ///< the last note()
  std::int64_t activity_us = 0;
  std::vector<FlightRecord> records;  ///< oldest first
};

class FlightLog {
 public:
  FlightLog(int rank, int size);
  ~FlightLog();
  FlightLog(const FlightLog&) = delete;
  FlightLog& operator=(const FlightLog&) = delete;

  /// @throws IoError where the file cannot be made.
  void attach(const std::filesystem::path& file);
  /// @return the slot for leave().
  std::uint64_t enter(std::string_view group, std::uint64_t sequence, std::uint64_t bytes, std::string_view text,
                      std::chrono::steady_clock::time_point deadline);
  void leave(std::uint64_t slot, bool failed);
  void note(std::string_view activity);
  std::string activity() const;
  /// The watchdog says so, a few times a second.
  void alive();

  /// Adds to the time that callers spent waiting for operations.
  void add_wait(double seconds);
  double waited_s() const;

  /// An operation cannot succeed any more: the first cause stays.
  void fail(const std::string& cause);
  std::optional<std::string> failure() const;
  /// An operation that is still under way `grace` after its deadline, in words.
  std::optional<std::string> overdue(std::chrono::steady_clock::duration grace) const;

  struct Page;

 private:
  static constexpr std::size_t kRecords = 256;

  mutable std::mutex mutex_;
  Page* page_;
  std::array<std::chrono::steady_clock::time_point, kRecords> deadlines_{};
  double waited_s_ = 0;
  std::optional<std::string> failure_;
};

/// Reads the flight log of a rank, alive or dead. @throws IoError where the file is not one.
Flight read_flight(const std::filesystem::path& file);

}  // namespace herd
