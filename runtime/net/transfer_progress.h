#pragma once
#include <chrono>
#include <cstdint>
#include <string>

namespace herd {

/// How far files are that come over the network: on a terminal a line that is redrawn in place, elsewhere a log line every ten seconds.
class TransferProgress {
 public:
  /// @param all bytes of all files, and how many of them are here already.
  TransferProgress(std::uint64_t all, std::uint64_t here);
  ~TransferProgress();
  TransferProgress(const TransferProgress&) = delete;
  TransferProgress& operator=(const TransferProgress&) = delete;

  /// The file that comes now.
  void file(std::string name) { name_ = std::move(name); }
  /// So many more bytes are here; fewer, where a file has to come again.
  void add(std::int64_t bytes);

 private:
  using Clock = std::chrono::steady_clock;

  std::string name_;
  std::uint64_t all_, here_, came_ = 0;
  bool on_terminal_;
  Clock::time_point began_ = Clock::now(), told_ = began_;
};

/// `34% of 2.3 GiB  112 MiB/s  eta 0:14  model.safetensors`, at most `columns` long.
std::string render_transfer(std::uint64_t all, std::uint64_t here, double bytes_per_s, const std::string& name, std::size_t columns);

}  // namespace herd
