#include "runtime/base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "runtime/base/temporary.h"
#include "runtime/base/text.h"

namespace herd {
namespace {

namespace fs = std::filesystem;

fs::path folder_of(const fs::path& path) { return path.has_parent_path() ? path.parent_path() : fs::path("."); }

std::string remedy_for(const fs::path& path, int errno_value) {
  switch (errno_value) {
    case ENOSPC: {
      std::error_code ignored;
      const auto space = fs::space(folder_of(path), ignored);
      const auto left = ignored ? "" : " (" + human_bytes(space.available) + " left of " + human_bytes(space.capacity) + ")";
      return "free space on that file system" + left + ", or choose a folder on a larger one";
    }
    case EDQUOT: return "your disk quota is used up: free space, or choose a folder on another file system";
    case EACCES:
    case EPERM: return "check the owner and rights of the file and of the folders above it";
    case EROFS: return "that file system is read-only: choose a folder on another one";
    case ENOENT: return "check the path; relative ones start from where the command was run";
    case ENOTDIR: return "a part of the path is a file: remove it, or choose another path";
    case EMFILE: return "raise the limit of open files (ulimit -n)";
    default: return "";
  }
}

int flags_of(File::Mode mode) {
  switch (mode) {
    case File::Mode::read: return O_RDONLY;
    case File::Mode::replace: return O_WRONLY | O_CREAT | O_TRUNC;
    case File::Mode::append: return O_WRONLY | O_CREAT | O_APPEND;
  }
  return O_RDONLY;
}

}  // namespace

IoError io_error(const fs::path& path, std::string_view tried, int errno_value) {
  return IoError({.who = path.string(),
                  .found = std::string(tried) + ": " + std::strerror(errno_value),
                  .expected = "",
                  .remedy = remedy_for(path, errno_value)});
}

File::File(fs::path path, Mode mode) : path_(std::move(path)) {
  descriptor_ = open(path_.c_str(), flags_of(mode) | O_CLOEXEC, 0666);
  if (descriptor_ < 0) throw io_error(path_, mode == Mode::read ? "cannot open to read" : "cannot open to write", errno);
}

File::~File() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

File::File(File&& other) noexcept : path_(std::move(other.path_)), descriptor_(std::exchange(other.descriptor_, -1)) {}

File& File::operator=(File&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

void File::write(std::string_view bytes) {
  while (!bytes.empty()) {
    const auto count = ::write(descriptor_, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw io_error(path_, "cannot write", errno);
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
}

std::string File::read_all() {
  std::string bytes;
  struct stat status {};
  if (fstat(descriptor_, &status) != 0) throw io_error(path_, "cannot read", errno);
  // One byte more than it claims, so that the end is seen without growing; files of /proc claim 0.
  std::size_t used = 0;
  bytes.resize(static_cast<std::size_t>(status.st_size) + 1);
  for (;;) {
    const auto count = ::read(descriptor_, bytes.data() + used, bytes.size() - used);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw io_error(path_, "cannot read", errno);
    if (count == 0) break;
    used += static_cast<std::size_t>(count);
    if (used == bytes.size()) bytes.resize(2 * used + 4096);
  }
  bytes.resize(used);
  return bytes;
}

void File::begin_sync() {
  [[maybe_unused]] const auto not_on_every_file_system = sync_file_range(descriptor_, 0, 0, SYNC_FILE_RANGE_WRITE);
}

void File::sync() {
  if (fsync(descriptor_) != 0) throw io_error(path_, "cannot bring to the disk", errno);
}

void File::close() {
  const int closing = std::exchange(descriptor_, -1);
  // On Linux the descriptor is gone even where close was interrupted.
  if (closing >= 0 && ::close(closing) != 0 && errno != EINTR) throw io_error(path_, "cannot close", errno);
}

std::string read_file(const fs::path& path) { return File(path, File::Mode::read).read_all(); }

void write_file_atomically(const fs::path& path, std::string_view bytes) {
  write_file_atomically(path, [bytes](File& file) { file.write(bytes); });
}

void write_file_atomically(const fs::path& path, const std::function<void(File&)>& write) {
  const auto neighbour = temporary_beside(path);
  try {
    File file(neighbour, File::Mode::replace);
    write(file);
    file.sync();
    file.close();
    if (rename(neighbour.c_str(), path.c_str()) != 0) throw io_error(path, "cannot be replaced by its new version", errno);
  } catch (const IoError& error) {
    unlink(neighbour.c_str());
    if (error.complaint().who != neighbour.string()) throw;
    // The reader knows the file, not its neighbour of a moment.
    auto complaint = error.complaint();
    complaint.who = path.string();
    throw IoError(std::move(complaint));
  } catch (...) {
    unlink(neighbour.c_str());
    throw;
  }
  sync_folder(folder_of(path));
}

void make_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) throw io_error(folder, "cannot make this folder", error.value());
  if (!fs::is_directory(folder)) throw io_error(folder, "cannot make this folder", ENOTDIR);
}

void sync_folder(const fs::path& folder) {
  const int descriptor = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) throw io_error(folder, "cannot open this folder", errno);
  const int failed = fsync(descriptor) != 0 ? errno : 0;
  ::close(descriptor);
  // Some network file systems cannot sync a folder and say so; their renames are synchronous.
  if (failed != 0 && failed != EINVAL && failed != ENOTSUP) throw io_error(folder, "cannot bring to the disk", failed);
}

}  // namespace herd
