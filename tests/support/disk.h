#pragma once
#include <sys/mount.h>
#include <sys/resource.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <string>

#include "tests/support/scratch.h"

namespace herd::test {

/// A file system of a few bytes, gone with the object. Mounting needs root: ask `mounted`.
class SmallDisk {
 public:
  explicit SmallDisk(std::size_t bytes) {
    if (mount("tmpfs", scratch_.path().c_str(), "tmpfs", 0, ("size=" + std::to_string(bytes)).c_str()) != 0) why_not_ = std::strerror(errno);
  }
  ~SmallDisk() {
    if (mounted()) umount2(scratch_.path().c_str(), MNT_DETACH);
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;
  bool mounted() const { return why_not_.empty(); }
  const std::string& why_not() const { return why_not_; }
  const std::filesystem::path& path() const { return scratch_.path(); }

 private:
  Scratch scratch_;
  std::string why_not_;
};

/// No file of this process grows beyond `bytes` while the object lives.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(std::size_t bytes) : action_(std::signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit now{bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &now);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, action_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  rlimit before_{};
  void (*action_)(int);
};

}  // namespace herd::test
