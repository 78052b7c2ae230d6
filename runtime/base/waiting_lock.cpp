#include "runtime/base/waiting_lock.h"

#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>
#include <chrono>
#include <thread>

#include "runtime/base/log.h"

namespace herd {
namespace {

/// Whether the file that was locked is still the one of that name: who held the lock before may have removed it.
bool still_there(const File& file) {
  struct stat held {
  }, named{};
  return fstat(file.descriptor(), &held) == 0 && stat(file.path().c_str(), &named) == 0 && held.st_ino == named.st_ino &&
         held.st_dev == named.st_dev;
}

}  // namespace

WaitingLock::WaitingLock(const std::filesystem::path& path, const std::string& doing, const std::function<void()>& waiting) {
  constexpr auto kLookAgain = std::chrono::milliseconds(100);
  for (bool told = false;;) {
    file_.emplace(path, File::Mode::append);
    if (flock(file_->descriptor(), LOCK_EX | LOCK_NB) == 0) {
      if (still_there(*file_)) return;
    } else if (errno == EWOULDBLOCK) {
      if (!told) log_info("another process {}: waiting for it (its lock: {})", doing, path.string());
      told = true;
      if (waiting) waiting();
      std::this_thread::sleep_for(kLookAgain);
    } else if (errno == ENOLCK || errno == ENOSYS || errno == EOPNOTSUPP) {
      log_warning("{}: this file system has no locks; nothing keeps two processes from doing the same work here", path.string());
      return;
    } else if (errno != EINTR) {
      throw io_error(path, "cannot lock", errno);
    }
  }
}

}  // namespace herd
