#include "launch/interrupts.h"

#include <unistd.h>

#include <atomic>

#include "runtime/base/exit_codes.h"

namespace herd {
namespace {

constexpr int kPatience = 3;
std::atomic<int> came = 0;
static_assert(std::atomic<int>::is_always_lock_free, "a signal handler may take no lock");

void remember(int) {
  if (++came > kPatience) _exit(kExitInterrupted);
}

}  // namespace

Interrupts::Interrupts() {
  came = 0;
  struct sigaction action {};
  action.sa_handler = remember;
  action.sa_flags = SA_RESTART;
  sigaction(SIGINT, &action, &former_);
}

Interrupts::~Interrupts() { sigaction(SIGINT, &former_, nullptr); }

bool Interrupts::take() { return came.exchange(0) > 0; }

}  // namespace herd
