#pragma once
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "parallel/comm/communicator.h"
#include "parallel/comm/flight.h"

namespace herd {

/// Ends this process where nobody else does: see Communicator::watch. From a missed deadline to the end it takes less than 10 s.
class Watchdog {
 public:
  struct Neighbour {
    int rank = 0;
    Peer peer;
  };
  Watchdog(std::shared_ptr<FlightLog> log, std::vector<Neighbour> neighbours, std::function<void(const std::string& cause)> last_words);
  /// Calls it off.
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

 private:
  void run();
  void look();
  [[noreturn]] void end(const std::string& cause);

  std::shared_ptr<FlightLog> log_;
  std::vector<Neighbour> neighbours_;
  std::function<void(const std::string&)> last_words_;
  std::vector<int> processes_;  ///< a descriptor of each neighbour, -1 without one
  int called_off_ = -1;         ///< an event descriptor
  std::chrono::steady_clock::time_point failed_at_{};
  std::thread thread_;
};

}  // namespace herd
