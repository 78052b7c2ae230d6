#include "parallel/comm/device_engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <future>

#include "parallel/comm/device_exchange.h"
#include "runtime/base/log.h"
#include "runtime/base/text.h"
#include "runtime/base/thread.h"

namespace herd {
namespace {

// Between two looks at the device. Callers do not wait for them: they wait in the device's own queue.
constexpr auto kLook = std::chrono::microseconds(200);
// Between two looks at the health of what is under way.
constexpr auto kExamine = std::chrono::milliseconds(20);

// Thrown by a rank's own deadline: the others are asked before it is told.
struct Overdue : std::runtime_error {
  Overdue() : std::runtime_error("overdue") {}
};

std::string subject(const Operation& operation) {
  return fmt::format("{} ({}, {})", operation.title(), operation.description(), human_bytes(static_cast<std::uint64_t>(operation.bytes())));
}

}  // namespace

void DeviceTask::issued(std::shared_ptr<DeviceMark> mark) {
  std::lock_guard lock(mutex_);
  mark_ = std::move(mark);
  changed_.notify_all();
}

void DeviceTask::fail(std::exception_ptr error) {
  complete(std::move(error));
  std::lock_guard lock(mutex_);
  failed_ = true;
  changed_.notify_all();
}

std::shared_ptr<DeviceMark> DeviceTask::mark() const {
  std::lock_guard lock(mutex_);
  return mark_;
}

void DeviceTask::wait() {
  std::shared_ptr<DeviceMark> reached;
  {
    std::unique_lock lock(mutex_);
    changed_.wait_until(lock, operation().deadline + grace(), [&] { return mark_ || failed_; });
    if (!failed_) reached = mark_;
  }
  if (reached) reached->order_caller();
  if (!reached || has_failed()) Completion::wait();  // throws what has happened
}

bool DeviceTask::has_failed() const {
  std::lock_guard lock(mutex_);
  return failed_;
}

bool DeviceTask::done() const {
  std::lock_guard lock(mutex_);
  return mark_ || failed_;
}

void DeviceTask::overdue() {
  fail(std::make_exception_ptr(CommError({.who = operation().title(), .found = "the device's thread of this rank does not answer",
                                          .expected = "completion or an error at the deadline"})));
}

DeviceEngine::DeviceEngine() : thread_(background_thread("herd-device", [this] { run(); })) {}

DeviceEngine::~DeviceEngine() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void DeviceEngine::submit(std::shared_ptr<DeviceTask> task) {
  if (const auto cause = task->group->failure(); !cause.empty()) throw out_of_use(task->operation(), cause);
  {
    std::lock_guard lock(mutex_);
    inbox_.push_back([this, task = std::move(task)] { issue(task); });
  }
  changed_.notify_one();
}

void DeviceEngine::leave(const std::shared_ptr<DeviceGroup>& group, bool at_once) {
  std::promise<void> gone;
  {
    std::lock_guard lock(mutex_);
    inbox_.push_back([&, at_once] {
      if (at_once) give_up(group, "this rank has left", nullptr);
      while (std::any_of(under_way_.begin(), under_way_.end(), [&](const auto& task) { return task->group == group; }))
        if (!look()) std::this_thread::sleep_for(kLook);
      group->link.reset();
      gone.set_value();
    });
  }
  changed_.notify_one();
  gone.get_future().get();
}

// ---- the engine's thread from here on ----

void DeviceEngine::run() {
  for (;;) {
    std::function<void()> action;
    {
      std::unique_lock lock(mutex_);
      const auto called = [&] { return !inbox_.empty() || stopping_; };
      if (under_way_.empty()) changed_.wait(lock, called);
      else changed_.wait_for(lock, kLook, called);
      if (inbox_.empty() && stopping_ && under_way_.empty()) return;
      if (!inbox_.empty()) {
        action = std::move(inbox_.front());
        inbox_.pop_front();
      }
    }
    if (action) action();
    look();
  }
}

void DeviceEngine::issue(const std::shared_ptr<DeviceTask>& task) {
  auto& group = *task->group;
  try {
    if (const auto cause = group.failure(); !cause.empty()) throw out_of_use(task->operation(), cause);
    const auto patience = [&, next = Clock::time_point{}]() mutable {
      look();  // older operations have deadlines too
      if (Clock::now() < next) return;
      examine(*task);
      next = Clock::now() + kExamine;
    };
    if (task->action) {
      task->action();
      task->complete();
      return;
    }
    group.link->begin(*task->ready, patience);
    start_on_device(*group.link, task->operation(), group.rank, group.size, group.options.piece_bytes);
    task->issued(group.link->mark());
    under_way_.push_back(task);
  } catch (const std::exception& e) {
    fail(task, e);
  }
}

// Takes off what the device has done; sees to deadlines and errors of the rest. True where something moved.
bool DeviceEngine::look() {
  bool moved = false;
  for (std::size_t i = 0; i < under_way_.size();) {
    const auto task = under_way_[i];
    try {
      if (task->mark()->reached()) {
        task->complete();
        under_way_.erase(under_way_.begin() + static_cast<std::ptrdiff_t>(i));
        moved = true;
        continue;
      }
      examine(*task);
    } catch (const std::exception& e) {
      fail(task, e);
      return true;
    }
    ++i;
    break;  // the device's queue keeps its order: nothing behind this one is done
  }
  return moved;
}

void DeviceEngine::examine(DeviceTask& task) const {
  auto& group = *task.group;
  if (const auto cause = group.failure(); !cause.empty()) throw CommError({.who = task.operation().title(), .found = cause});
  if (const auto cause = group.link->failure(); !cause.empty())
    throw CommError({.who = subject(task.operation()), .found = cause, .expected = "completion on all ranks"});
  if (const auto cause = group.host_failure(); !cause.empty()) throw CommError({.who = task.operation().title(), .found = cause});
  if (Clock::now() > task.operation().deadline) throw Overdue();
}

void DeviceEngine::fail(const std::shared_ptr<DeviceTask>& task, const std::exception& error) {
  const auto& group = *task->group;
  const bool first = group.failure().empty();
  const bool late = dynamic_cast<const Overdue*>(&error) != nullptr;
  auto shown = std::current_exception();
  std::string cause = error.what();
  if (late || !dynamic_cast<const Error*>(&error)) {
    const auto told = late ? group.ask(task->operation())
                           : CommError({.who = subject(task->operation()), .found = cause, .expected = "completion on all ranks"});
    cause = told.what();
    shown = std::make_exception_ptr(told);
  }
  task->fail(shown);
  give_up(task->group, cause, task);
  if (first && !late) group.tell(task->operation().sequence, cause);  // the others hear of it long before their own deadlines
}

// The group is out of use: everything of it fails; memory stays until the device has let go of it.
void DeviceEngine::give_up(const std::shared_ptr<DeviceGroup>& group, const std::string& cause, const std::shared_ptr<DeviceTask>& first) {
  bool known = false;
  {
    std::lock_guard lock(group->mutex);
    known = !group->cause.empty();
    if (!known) group->cause = cause;
  }
  std::deque<std::shared_ptr<DeviceTask>> kept, lost;
  for (auto& task : under_way_) (task->group == group ? lost : kept).push_back(std::move(task));
  under_way_ = std::move(kept);
  for (const auto& task : lost)
    if (task != first) task->fail(std::make_exception_ptr(CommError({.who = task->operation().title(), .found = cause})));
  if (known) return;
  try {
    group->link->abort();
  } catch (const std::exception& e) {
    log_warning("giving up on a device's operations: {}", e.what());
  }
}

}  // namespace herd
