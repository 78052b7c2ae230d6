#pragma once
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "runtime/base/file.h"

namespace herd {

/// A lock among all processes, other programs' too (flock), for as long as the object lives. Waits for it without end, and says once for what: whoever
/// holds it loses it with its life. Where the file system has no locks that is said, and nothing is locked.
class WaitingLock {
 public:
  /// @param file is made where it is missing. @param doing what its holder does: `fetches a.json`.
  /// @param waiting is called again and again meanwhile; what it throws ends the wait.
  /// @throws IoError where the file cannot be opened or locked.
  WaitingLock(const std::filesystem::path& file, const std::string& doing, const std::function<void()>& waiting = {});

 private:
  std::optional<File> file_;
};

}  // namespace herd
