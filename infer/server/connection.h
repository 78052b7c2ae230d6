#pragma once
#include <httplib.h>

#include <atomic>
#include <chrono>
#include <string>

namespace herd {

/// A client's connection, with bounds that httplib's own has none of: a request must come whole within a time and a size, however slowly its bytes drip.
class Connection final : public httplib::Stream {
 public:
  using Clock = std::chrono::steady_clock;

  /// @param socket closed with this.
  Connection(int socket, double read_timeout_s, double write_timeout_s);
  ~Connection() override;
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// Until a request begins. @return false: none does.
  bool wait(double timeout_s);
  /// A request begins: so many bytes, at most, and the time that one may take.
  void begin_request(std::size_t most_bytes);
  void allow(std::size_t more_bytes) { bytes_left_ += more_bytes; }
  /// The client has not closed its side.
  bool there() const;
  /// From any thread: what waits on it waits no longer.
  void break_off() const;

  /// Since when its client owes a request; none: it waits for the answer.
  std::atomic<bool> reading = true;
  std::atomic<Clock::time_point::rep> reading_since;

  bool is_readable() const override;
  bool is_writable() const override;
  ssize_t read(char* to, std::size_t size) override;
  ssize_t write(const char* from, std::size_t size) override;
  void get_remote_ip_and_port(std::string& ip, int& port) const override;
  void get_local_ip_and_port(std::string& ip, int& port) const override;
  socket_t socket() const override { return socket_; }

 private:
  bool poll(short events, Clock::time_point until) const;
  Clock::time_point after(double seconds) const { return Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds)); }

  int socket_;
  double read_timeout_s_, write_timeout_s_;
  Clock::time_point read_until_{};
  std::size_t bytes_left_ = 0;
  std::string buffer_;
  std::size_t at_ = 0;  // of the buffer: what is read
};

}  // namespace herd
