#include "runtime/tensor/mapped_file.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace herd {

std::uint64_t file_bytes(const File& file) {
  struct stat status {};
  if (fstat(file.descriptor(), &status) != 0) throw io_error(file.path(), "cannot read its size", errno);
  return static_cast<std::uint64_t>(status.st_size);
}

MappedRange::MappedRange(const File& file, std::uint64_t offset, std::uint64_t bytes) {
  // A page behind the file's end would kill the process when touched.
  if (const auto size = file_bytes(file); offset > size || bytes > size - offset) {
    throw IoError({.who = file.path().string(),
                   .found = "only " + std::to_string(size) + " bytes",
                   .expected = std::to_string(offset) + " + " + std::to_string(bytes) + " bytes",
                   .remedy = "the file has been cut off since it was opened: restore it"});
  }
  if (bytes == 0) return;
  const auto page = static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  const auto start = offset / page * page;
  length_ = static_cast<std::size_t>(offset - start + bytes);
  start_ = mmap(nullptr, length_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, file.descriptor(), static_cast<off_t>(start));
  if (start_ == MAP_FAILED) throw io_error(file.path(), "cannot map into memory", errno);
  data_ = static_cast<char*>(start_) + (offset - start);
}

MappedRange::~MappedRange() {
  if (length_ > 0) munmap(start_, length_);
}

}  // namespace herd
