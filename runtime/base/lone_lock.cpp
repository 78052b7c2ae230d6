#include "runtime/base/lone_lock.h"

#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <string>
#include <thread>
#include <utility>

#include "runtime/base/log.h"
#include "runtime/base/process.h"

namespace herd {
namespace {

std::string whoami() {
  const auto job = job_id();
  return fmt::format("host {}, process {}{}, since {}", host_name(), getpid(), job.empty() ? "" : ", job " + job, utc_now().substr(0, 19) + "Z");
}

// Who looks whether a lock is held holds it for a moment.
constexpr int kLooks = 20;
constexpr auto kLook = std::chrono::milliseconds(10);

bool has_no_locks(int error) { return error == ENOLCK || error == ENOSYS || error == EOPNOTSUPP; }

}  // namespace

std::string lock_owner(const std::filesystem::path& lock) {
  auto owner = read_file(lock);
  while (owner.ends_with('\n')) owner.pop_back();
  return owner.empty() ? "one that has just begun" : owner;
}

void lock_alone(File& file, Complaint taken) {
  for (int tries = 0; flock(file.descriptor(), LOCK_EX | LOCK_NB) != 0;) {
    if (errno == EINTR) continue;
    if (errno == EWOULDBLOCK && ++tries < kLooks) {
      std::this_thread::sleep_for(kLook);
      continue;
    }
    if (errno == EWOULDBLOCK) {
      taken.found += " (" + lock_owner(file.path()) + ")";
      throw IoError(std::move(taken));
    }
    if (!has_no_locks(errno)) throw io_error(file.path(), "cannot lock", errno);
    log_warning("{}: this file system has no locks; nothing keeps a second process out of this folder", file.path().parent_path().string());
    break;
  }
  // In place: a renamed new file would be another lock.
  if (ftruncate(file.descriptor(), 0) != 0) throw io_error(file.path(), "cannot write", errno);
  file.write(whoami() + "\n");
}

bool is_locked(const std::filesystem::path& path) {
  if (!std::filesystem::exists(path)) return false;
  const File file(path, File::Mode::read);
  return flock(file.descriptor(), LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

}  // namespace herd
