#include "launch/launcher/output_pipe.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <utility>

#include "runtime/base/file.h"

namespace herd {

OutputPipe::OutputPipe() {
  if (::pipe2(ends_, O_CLOEXEC) != 0) throw io_error("a pipe", "cannot be made", errno);
  ::fcntl(ends_[0], F_SETFL, O_NONBLOCK);
}

OutputPipe::~OutputPipe() {
  for (const auto end : ends_)
    if (end >= 0) ::close(end);
}

void OutputPipe::close_child_end() { ::close(std::exchange(ends_[1], -1)); }

std::vector<std::string> OutputPipe::lines(int milliseconds) {
  std::vector<std::string> whole;
  if (at_end()) return whole;
  pollfd ready{.fd = ends_[0], .events = POLLIN, .revents = 0};
  if (::poll(&ready, 1, milliseconds) <= 0) return whole;
  std::array<char, 1 << 16> bytes;
  const auto count = ::read(ends_[0], bytes.data(), bytes.size());
  if (count < 0) return whole;
  begun_.append(bytes.data(), static_cast<std::size_t>(count));
  std::size_t begin = 0;
  for (std::size_t end; (end = begun_.find('\n', begin)) != std::string::npos; begin = end + 1) whole.push_back(begun_.substr(begin, end - begin));
  begun_.erase(0, begin);
  if (count > 0) return whole;
  ::close(std::exchange(ends_[0], -1));
  if (!begun_.empty()) whole.push_back(std::exchange(begun_, ""));
  return whole;
}

Captured capture(std::vector<std::string> command, double timeout_s) {
  constexpr int kLook = 50;  // ms
  OutputPipe pipe;
  ChildProcess child({.command = std::move(command), .output = pipe.child_end()});
  pipe.close_child_end();
  Captured captured;
  const auto until = std::chrono::steady_clock::now() + std::chrono::duration<double>(timeout_s);
  while (!captured.code && std::chrono::steady_clock::now() < until) {
    captured.code = child.ended();  // before its output is read: what it said last is read then
    for (const auto& line : pipe.lines(kLook)) captured.said += line + "\n";
  }
  for (auto more = pipe.lines(0); !more.empty(); more = pipe.lines(0))
    for (const auto& line : more) captured.said += line + "\n";
  if (!captured.code) child.signal(SIGKILL);
  return captured;
}

}  // namespace herd
