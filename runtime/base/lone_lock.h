#pragma once
#include <filesystem>
#include <string>

#include "runtime/base/error.h"
#include "runtime/base/file.h"

namespace herd {

/// Locks an open file for this process alone, without waiting, for as long as it is open, and writes host, process, job and start into it. The kernel lets go of
/// the lock with the process, however that ends. Where the file system has no locks that is said, and nothing is locked.
/// @param taken what is told where another process has it: the holder follows its `found`, in brackets. @throws IoError, also where it cannot be locked.
void lock_alone(File& file, Complaint taken);

/// What the process that holds such a lock wrote into it.
std::string lock_owner(const std::filesystem::path& file);
/// Whether a process holds such a lock. False for a file that is not there.
bool is_locked(const std::filesystem::path& file);

}  // namespace herd
