#pragma once
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "runtime/base/file.h"
#include "runtime/net/hub_settings.h"

namespace herd {

/// One repository in the cache that herd shares with Hugging Face's Python libraries:
///   models--org--name/refs/main                  the commit that the branch had when it was fetched last
///   models--org--name/snapshots/COMMIT/FILE      a relative link to its content
///   models--org--name/blobs/ETAG                 contents, by the hash that the hub gives them; ETAG.incomplete while they come
///   .locks/models--org--name/ETAG.lock           held (flock) by whoever fetches that content
class HubCache {
 public:
  HubCache(const std::filesystem::path& cache, const HubRepo& repo);

  std::filesystem::path snapshot(const std::string& commit) const { return folder_ / "snapshots" / commit; }
  std::filesystem::path blob(const std::string& etag) const { return folder_ / "blobs" / etag; }
  std::filesystem::path incomplete(const std::string& etag) const { return folder_ / "blobs" / (etag + ".incomplete"); }
  std::filesystem::path lock(const std::string& etag) const { return locks_ / (etag + ".lock"); }

  /// The commit that a revision was when it was fetched last, if its snapshot is there. A commit is itself.
  std::optional<std::string> commit_of(const std::string& revision) const;
  /// Remembers it. @throws IoError.
  void remember(const std::string& revision, const std::string& commit) const;
  /// Shows the content `etag` as a file of a snapshot. @throws IoError.
  void link(const std::string& commit, const std::string& file, const std::string& etag) const;
  /// Makes the folders that fetching writes to. @throws IoError.
  void make_folders() const;

 private:
  std::filesystem::path folder_, locks_;
};

/// Forty hexadecimal digits.
bool is_commit(const std::string& text);

/// `org/name` of a snapshot's folder in such a cache, else the path itself: the name by which other machines know a model.
std::string hub_name(const std::filesystem::path& folder);

}  // namespace herd
