#include "infer/server/connection.h"

#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace herd {
namespace {

constexpr std::size_t kBuffer = 16384;
constexpr double kLinger_s = 0.5;
constexpr std::size_t kStretch = 1 << 20;  // bytes that a client must take within the time to write: as slow as some networks are, and no slower

}  // namespace

Connection::Connection(int socket, double read_timeout_s, double write_timeout_s)
    : reading_since(Clock::now().time_since_epoch().count()), socket_(socket), read_timeout_s_(read_timeout_s), write_timeout_s_(write_timeout_s) {
  const int on = 1;
  setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // a token is a packet
}

// What the client still sends is read and dropped for a moment: to close on it would be a reset, which may overtake the answer.
Connection::~Connection() {
  ::shutdown(socket_, SHUT_WR);
  char dropped[4096];
  for (const auto until = after(kLinger_s); poll(POLLIN, until) && ::recv(socket_, dropped, sizeof dropped, MSG_DONTWAIT) > 0;) {}
  ::close(socket_);
}

bool Connection::poll(short events, Clock::time_point until) const {
  pollfd what{.fd = socket_, .events = events, .revents = 0};
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now()).count();
    const auto ready = ::poll(&what, 1, static_cast<int>(std::max<std::int64_t>(left + 1, 0)));
    if (ready > 0) return true;
    if (ready == 0 ? Clock::now() >= until : errno != EINTR) return false;
  }
}

bool Connection::wait(double timeout_s) { return at_ < buffer_.size() || (poll(POLLIN, after(timeout_s)) && there()); }

void Connection::begin_request(std::size_t most_bytes) {
  read_until_ = after(read_timeout_s_);
  bytes_left_ = most_bytes;
}

bool Connection::there() const {
  pollfd what{.fd = socket_, .events = POLLRDHUP, .revents = 0};
  return ::poll(&what, 1, 0) == 0;
}

void Connection::break_off() const { ::shutdown(socket_, SHUT_RDWR); }

bool Connection::is_readable() const { return at_ < buffer_.size() || poll(POLLIN, Clock::now()); }
bool Connection::is_writable() const { return there() && poll(POLLOUT, after(write_timeout_s_)); }

ssize_t Connection::read(char* to, std::size_t size) {
  if (bytes_left_ == 0) return -1;
  if (at_ == buffer_.size()) {
    buffer_.resize(kBuffer);
    at_ = 0;
    const auto got = poll(POLLIN, read_until_) ? ::recv(socket_, buffer_.data(), buffer_.size(), MSG_DONTWAIT) : -1;
    buffer_.resize(static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    if (got <= 0) return got;
  }
  const auto count = std::min({size, buffer_.size() - at_, bytes_left_});
  std::memcpy(to, buffer_.data() + at_, count);
  at_ += count;
  bytes_left_ -= count;
  return static_cast<ssize_t>(count);
}

ssize_t Connection::write(const char* from, std::size_t size) {
  size = std::min(size, kStretch);  // httplib calls again for the rest
  const auto until = after(write_timeout_s_);
  std::size_t sent = 0;
  while (sent < size) {
    if (Clock::now() >= until || !poll(POLLOUT, until)) return -1;
    const auto more = ::send(socket_, from + sent, size - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (more < 0 && errno != EAGAIN && errno != EINTR) return -1;
    sent += static_cast<std::size_t>(std::max<ssize_t>(more, 0));
  }
  return static_cast<ssize_t>(sent);
}

void Connection::get_remote_ip_and_port(std::string& ip, int& port) const { ip.clear(), port = 0; }
void Connection::get_local_ip_and_port(std::string& ip, int& port) const { ip.clear(), port = 0; }

}  // namespace herd
