#include "runtime/base/thread.h"

#include <pthread.h>
#include <signal.h>

namespace herd {

std::thread background_thread(const std::string& name, std::function<void()> body) {
  sigset_t all, former;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &former);  // the new thread inherits it
  std::thread thread([name, body = std::move(body)] {
    pthread_setname_np(pthread_self(), name.c_str());
    body();
  });
  pthread_sigmask(SIG_SETMASK, &former, nullptr);
  return thread;
}

}  // namespace herd
