// A client's connection: how long one may take to take what is sent.
#include "infer/server/connection.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <thread>

namespace herd::test {
namespace {
using namespace std::chrono_literals;

/// Both ends of a connection whose buffers hold next to nothing.
std::array<int, 2> ends() {
  std::array<int, 2> sockets{};
  EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets.data()), 0);
  const int bytes = 4096;
  EXPECT_EQ(setsockopt(sockets[0], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes), 0);
  return sockets;
}

/// Takes all that comes, 4 KiB at a time, each after `pause`. @return bytes.
std::size_t take(int socket, std::chrono::milliseconds pause) {
  std::size_t taken = 0;
  std::array<char, 4096> buffer{};
  for (;;) {
    std::this_thread::sleep_for(pause);
    const auto got = ::recv(socket, buffer.data(), buffer.size(), 0);
    if (got <= 0) return taken;
    taken += static_cast<std::size_t>(got);
  }
}

TEST(Connection, OneThatTakesLittleByLittleHasNoMoreTimeThanOneThatTakesNothing) {
  const auto [ours, theirs] = ends();
  std::thread client([theirs = theirs] { take(theirs, 20ms); });
  {
    Connection connection(ours, 10, 0.3);
    const std::string text(1 << 20, 'a');  // at its pace: five seconds
    const auto began = Connection::Clock::now();
    EXPECT_EQ(connection.write(text.data(), text.size()), -1);
    EXPECT_LT(Connection::Clock::now() - began, 3s);
  }
  client.join();
  ::close(theirs);
}

TEST(Connection, MoreThanAStretchIsWrittenByAndBy) {
  const auto [ours, theirs] = ends();
  std::size_t taken = 0;
  std::thread client([&, theirs = theirs] { taken = take(theirs, 0ms); });
  const std::string text(3 << 20, 'a');
  {
    Connection connection(ours, 10, 10);
    for (std::size_t sent = 0; sent < text.size();) {
      const auto more = connection.write(text.data() + sent, text.size() - sent);
      ASSERT_GT(more, 0);
      sent += static_cast<std::size_t>(more);
    }
    ::shutdown(ours, SHUT_WR);
    client.join();
  }
  EXPECT_EQ(taken, text.size());
  ::close(theirs);
}

}  // namespace
}  // namespace herd::test
