#pragma once
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "runtime/base/error.h"

namespace herd {

/// The error of a system call on `path`: what was tried ("cannot write"), why not, and what to do about it (free space, rights, …).
/// @param errno_value errno as the call left it
IoError io_error(const std::filesystem::path& path, std::string_view tried, int errno_value);

/// An open file that closes itself. Every call is checked and throws IoError naming the path.
class File {
 public:
  enum class Mode { read, replace, append };
  File(std::filesystem::path path, Mode mode);
  ~File();
  File(File&& other) noexcept;
  File& operator=(File&& other) noexcept;

  /// All of it, whatever the kernel takes at a time. In append mode a short text goes in whole or not at all, also beside other writers.
  void write(std::string_view bytes);
  std::string read_all();
  /// Has the kernel begin to bring to the disk what was written so far, and does not wait; a hint, a later `sync` waits the less.
  void begin_sync();
  /// On the disk when this returns, as far as the file system keeps its word.
  void sync();
  /// Close with its error looked at (NFS and quotas report late); the destructor cannot.
  void close();
  int descriptor() const { return descriptor_; }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
};

/// The whole file. @throws IoError where it is missing, a folder, or not readable.
std::string read_file(const std::filesystem::path& path);

/// Replaces `path` in one step: a reader, and a machine that dies in between, sees the old bytes or the new ones, never a part.
/// Writes a neighbour (temporary.h), syncs it, renames it over `path` and syncs the folder. @throws IoError; the old file then still stands.
/// Only a process that is killed leaves its neighbour: whoever owns the folder next removes it by remove_leftovers.
void write_file_atomically(const std::filesystem::path& path, std::string_view bytes);
/// The same for a file too long to hold in memory: `write` writes it piece by piece.
void write_file_atomically(const std::filesystem::path& path, const std::function<void(File&)>& write);

/// Makes the folder and those above it; content when it is there already.
void make_folder(const std::filesystem::path& folder);
/// Makes renames, creations and removals inside `folder` durable.
void sync_folder(const std::filesystem::path& folder);

}  // namespace herd
