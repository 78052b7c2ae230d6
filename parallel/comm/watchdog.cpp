#include "parallel/comm/watchdog.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>
#include <future>

#include "runtime/base/exit_codes.h"
#include "runtime/base/thread.h"

namespace herd {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr auto kLook = milliseconds(250);
// A wait() throws at most 4 s after its deadline, where the backend hangs as well.
constexpr auto kGrace = seconds(6);
// What a rank gets to put down its error and to end the others.
constexpr auto kEnd = seconds(5);
// Last words go to a file system that may hang, too.
constexpr auto kWords = seconds(2);

// Readable as soon as the process has ended, also while it is a zombie. -1 where the kernel is older than 5.3, or it has ended already.
int open_process(int process) { return static_cast<int>(syscall(SYS_pidfd_open, process, 0)); }

}  // namespace

Watchdog::Watchdog(std::shared_ptr<FlightLog> log, std::vector<Neighbour> neighbours, std::function<void(const std::string&)> last_words)
    : log_(std::move(log)), neighbours_(std::move(neighbours)), last_words_(std::move(last_words)), called_off_(eventfd(0, EFD_CLOEXEC)) {
  for (const auto& neighbour : neighbours_) processes_.push_back(open_process(neighbour.peer.process));
  thread_ = background_thread("herd-watchdog", [this] { run(); });
}

Watchdog::~Watchdog() {
  eventfd_write(called_off_, 1);
  thread_.join();
  for (int process : processes_)
    if (process >= 0) close(process);
  close(called_off_);
}

void Watchdog::run() {
  std::vector<pollfd> events{{.fd = called_off_, .events = POLLIN, .revents = 0}};
  for (int process : processes_) events.push_back({.fd = process, .events = POLLIN, .revents = 0});  // poll passes over -1
  log_->alive();
  for (;;) {
    poll(events.data(), events.size(), static_cast<int>(kLook.count()));
    if (events[0].revents) return;
    for (std::size_t i = 0; i < neighbours_.size(); ++i) {
      if (!events[i + 1].revents) continue;
      const auto& [rank, peer] = neighbours_[i];
      end(fmt::format("rank {} on {} is gone (process {}): killed, or ended without a word", rank, peer.host, peer.process));
    }
    look();
  }
}

void Watchdog::look() {
  log_->alive();
  if (const auto operation = log_->overdue(kGrace)) end(fmt::format("{} is open {} s after its deadline", *operation, kGrace.count()));
  const auto failure = log_->failure();
  if (!failure) return;
  const auto now = std::chrono::steady_clock::now();
  if (failed_at_ == std::chrono::steady_clock::time_point{}) failed_at_ = now;
  if (now - failed_at_ < kEnd) return;
  end(*failure + fmt::format(" (this rank did not end within {} s of hearing it; it was in: {})", kEnd.count(), log_->activity()));
}

void Watchdog::end(const std::string& cause) {
  std::promise<void> spoken;
  auto done = spoken.get_future();
  std::thread([this, &cause, &spoken] {
    try {
      last_words_(cause);
    } catch (...) {
    }
    spoken.set_value();
  }).detach();
  done.wait_for(kWords);
  std::_Exit(kExitFailure);
}

}  // namespace herd
