#include "runtime/base/signals.h"

#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstring>

#include "runtime/base/error.h"
#include "runtime/base/exit_codes.h"

namespace herd {
namespace {

constexpr std::array<int, 3> kNumbers{SIGUSR1, SIGTERM, SIGINT};

// A signal sooner after the first than this is its echo: at the end of a job's time SLURM sends SIGTERM twice within some 70 ms, and a
// launcher forwards the Ctrl-C that the terminal has sent to the whole group.
constexpr std::int64_t kEchoMs = 500;

// A handler receives nothing but a number, so its state cannot live in an object. Lock-free atomics are safe in handlers.
// The first signal: milliseconds of the clock when it came, times 256, and its number; 0: none.
std::atomic<std::int64_t> first_signal{0};
std::atomic<bool> installed{false};
static_assert(std::atomic<std::int64_t>::is_always_lock_free);

std::int64_t clock_ms() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);  // safe in handlers
  return std::int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

void say_last_words(int number) {
  const char* words = number == SIGUSR1   ? "\nherd: second signal (SIGUSR1): ending at once, nothing is saved\n"
                      : number == SIGTERM ? "\nherd: second signal (SIGTERM): ending at once, nothing is saved\n"
                                          : "\nherd: second signal (SIGINT): ending at once, nothing is saved\n";
  // Nobody is left to tell when this fails.
  [[maybe_unused]] const auto written = write(STDERR_FILENO, words, std::strlen(words));
}

extern "C" void herd_on_signal(int number) {
  const int saved_errno = errno;
  const auto now = clock_ms();
  std::int64_t first = 0;
  if (!first_signal.compare_exchange_strong(first, now * 256 + number) && now - first / 256 >= kEchoMs) {
    say_last_words(number);
    _exit(128 + number);
  }
  errno = saved_errno;
}

}  // namespace

const char* name(Signal signal) {
  switch (signal) {
    case Signal::preempt: return "SIGUSR1";
    case Signal::terminate: return "SIGTERM";
    case Signal::interrupt: return "SIGINT";
    case Signal::none: break;
  }
  return "no signal";
}

int exit_code(Signal signal) {
  switch (signal) {
    case Signal::preempt: return kExitPreempted;
    case Signal::terminate: return kExitTerminated;
    case Signal::interrupt: return kExitInterrupted;
    case Signal::none: break;
  }
  return kExitSuccess;
}

Signals::Signals() {
  if (installed.exchange(true))
    throw Error({.who = "signal handlers", .found = "installed twice in one process", .expected = "one Signals object at a time"});
  first_signal = 0;
  struct sigaction action {};
  action.sa_handler = herd_on_signal;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;  // reads and writes under way go on; only the step boundary looks at the signal
  for (std::size_t i = 0; i < kNumbers.size(); ++i) sigaction(kNumbers[i], &action, &former_[i]);
}

Signals::~Signals() {
  for (std::size_t i = 0; i < kNumbers.size(); ++i) sigaction(kNumbers[i], &former_[i], nullptr);
  installed = false;
}

Signal Signals::pending() const {
  switch (first_signal.load() % 256) {
    case SIGUSR1: return Signal::preempt;
    case SIGTERM: return Signal::terminate;
    case SIGINT: return Signal::interrupt;
    default: return Signal::none;
  }
}

}  // namespace herd
