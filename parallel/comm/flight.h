#pragma once
#include <cstdint>
#include <filesystem>
#include <mutex>
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
  char text[84] = {};  ///< what it was, cut to fit
};
static_assert(sizeof(FlightRecord) == 128);

/// What read_flight finds.
struct Flight {
  int rank = 0, size = 0;
  std::string activity;  ///< the last note()
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
  std::uint64_t enter(std::uint64_t sequence, std::uint64_t bytes, std::string_view text);
  void leave(std::uint64_t slot, bool failed);
  void note(std::string_view activity);
  std::string activity() const;

  struct Page;

 private:
  mutable std::mutex mutex_;
  Page* page_;
};

/// Reads the flight log of a rank, alive or dead. @throws IoError where the file is not one.
Flight read_flight(const std::filesystem::path& file);

}  // namespace herd
