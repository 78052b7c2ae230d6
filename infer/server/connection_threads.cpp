#include "infer/server/connection_threads.h"

#include <system_error>

#include "runtime/base/thread.h"

namespace herd {

void ConnectionThreads::enqueue(std::function<void()> connection) {
  const std::scoped_lock lock(mutex_);
  waiting_.push_back(std::move(connection));
  changed_.notify_one();
  if (waiting_.size() <= idle_ || threads_.size() == most_) return;
  try {
    threads_.push_back(background_thread("connection", [this] { work(); }));
  } catch (const std::system_error&) {
    if (threads_.empty()) throw;  // else the machine gives no more: those that there are must do
  }
}

void ConnectionThreads::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    ++idle_;
    changed_.wait(lock, [&] { return ending_ || !waiting_.empty(); });
    --idle_;
    if (waiting_.empty()) return;
    const auto connection = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    connection();
    lock.lock();
  }
}

void ConnectionThreads::shutdown() {
  {
    const std::scoped_lock lock(mutex_);
    ending_ = true;
    changed_.notify_all();
  }
  for (auto& thread : threads_) thread.join();
}

}  // namespace herd
