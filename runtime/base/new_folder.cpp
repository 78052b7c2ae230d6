#include "runtime/base/new_folder.h"

#include <fcntl.h>

#include <cerrno>
#include <cstdio>

#include "runtime/base/file.h"
#include "runtime/base/temporary.h"

namespace herd {
namespace {

namespace fs = std::filesystem;

fs::path without_slash(const fs::path& path) { return (path.has_filename() ? path : path.parent_path()).lexically_normal(); }
fs::path folder_of(const fs::path& path) { return path.has_parent_path() ? path.parent_path() : fs::path("."); }

void refuse_to_replace(const fs::path& folder) {
  std::error_code ignored;
  if (!fs::exists(folder) || (fs::is_directory(folder) && fs::is_empty(folder, ignored))) return;
  throw IoError({.who = folder.string(),
                 .found = "something there already",
                 .expected = "a new or empty folder",
                 .remedy = "choose another folder, or remove this one"});
}

void rename_to(const fs::path& from, const fs::path& to) {
  if (std::rename(from.c_str(), to.c_str()) != 0) throw io_error(to, "cannot make this folder", errno);
}

}  // namespace

NewFolder::NewFolder(const fs::path& place, Place state)
    : place_(without_slash(place)), path_(temporary_beside(place_)) {
  remove_leftovers(folder_of(place_), place_.filename().string());
  if (state == Place::kFree) refuse_to_replace(place_);
  fs::remove_all(path_);
  make_folder(path_);
}

NewFolder::~NewFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);  // after an exchange, what was there before
}

void NewFolder::commit() const {
  sync_folder(path_);
  if (renameat2(AT_FDCWD, path_.c_str(), AT_FDCWD, place_.c_str(), RENAME_EXCHANGE) != 0) {
    const bool replaces = errno != ENOENT;
    auto aside = path_;
    aside += "-old";
    if (replaces) rename_to(place_, aside);
    rename_to(path_, place_);
    fs::remove_all(aside);
  }
  sync_folder(folder_of(place_));
}

}  // namespace herd
