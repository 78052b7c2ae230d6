#include "launch/runs/stop.h"

#include <fmt/format.h>
#include <signal.h>

#include <cerrno>
#include <chrono>
#include <thread>

#include "launch/jobs/job_record.h"
#include "runtime/base/error.h"
#include "runtime/base/file.h"
#include "runtime/base/process.h"
#include "runtime/report/status_line.h"

namespace herd {
namespace {

namespace fs = std::filesystem;

IoError out_of_reach(const RunFolder& folder, const std::string& found, const std::string& remedy) {
  return IoError({.who = "run folder " + folder.root().string(), .found = found, .expected = "", .remedy = remedy});
}

// A number may have gone to another process, or be of another container: its descriptors name the lock.
bool holds_lock(int process, const RunFolder& folder) {
  std::error_code error;
  const auto lock = fs::canonical(folder.lock(), error);
  for (fs::directory_iterator at(fmt::format("/proc/{}/fd", process), error), end; !error && at != end; at.increment(error)) {
    std::error_code gone;
    if (fs::read_symlink(at->path(), gone) == lock) return true;
  }
  return false;
}

std::string stop_process(const RunFolder& folder, const LockHolder& holder) {
  if (holder.host != host_name())
    throw out_of_reach(folder, "held by " + holder.text + ", on another host",
                       holder.job.empty()
                           ? "herd runs stop on that host"
                           : "scancel --signal=USR1 " + holder.job + ", where srun starts the ranks; else kill -USR1 of its mpirun");
  if (!holds_lock(holder.process, folder))
    throw out_of_reach(folder, "held by " + holder.text + ", which is not to be seen from here",
                       "herd runs stop as the run's user, outside of containers");
  if (::kill(holder.process, SIGUSR1) != 0) throw io_error(fmt::format("process {}", holder.process), "cannot be told to stop", errno);
  return fmt::format("process {} is told to save and end", holder.process);
}

std::string stop_job(const RunFolder& folder, const std::string& job) {
  write_file_atomically(folder.stop(), utc_now() + "\n");  // its script looks for it before it queues itself again
  ask_job_to_save(job);
  return fmt::format("job {} is told to save and end", job);
}

}  // namespace

std::string stop_run(const RunFolder& folder) {
  const auto holder = lock_holder(folder);
  const bool living = holder && holder->living;
  const auto record = read_job(folder);
  if (living && !(record && record->job == holder->job)) return stop_process(folder, *holder);
  if (living) return stop_job(folder, record->job);
  const auto queued = record ? queued_jobs() : std::nullopt;
  const auto job = queued ? queued->find(record->job) : decltype(queued->find(""))();
  if (!queued || job == queued->end()) throw out_of_reach(folder, "no run at work", "herd runs show says how it ended");
  if (!job->second.waits()) return stop_job(folder, record->job);  // on its way to begin
  cancel_job(record->job);
  return fmt::format("job {} is out of the queue", record->job);
}

void wait_for_end(const RunFolder& folder, std::optional<double> timeout_s) {
  using Clock = std::chrono::steady_clock;
  const auto began = Clock::now();
  StatusLine line;
  for (;;) {
    const auto holder = lock_holder(folder);
    if (!holder || !holder->living) return;
    const auto waited_s = std::chrono::duration<double>(Clock::now() - began).count();
    if (timeout_s && waited_s > *timeout_s)
      throw out_of_reach(folder, fmt::format("still at work after {:.0f} s", waited_s),
                         "it saves at the end of a step; a second herd runs stop ends it at once, without saving");
    if (line.due()) line.show(fmt::format("waiting for the save, {:.0f} s", waited_s));
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
}

}  // namespace herd
