#include "runtime/net/hub_cache.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "runtime/base/temporary.h"

namespace herd {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kModels = "models--", kDatasets = "datasets--", kSlash = "--";

std::string folder_name(const HubRepo& repo) {
  const auto slash = repo.name.find('/');
  return std::string(repo.kind == HubKind::kModel ? kModels : kDatasets) + repo.name.substr(0, slash) + std::string(kSlash) +
         repo.name.substr(slash + 1);
}

}  // namespace

bool is_commit(const std::string& text) { return text.size() == 40 && text.find_first_not_of("0123456789abcdef") == std::string::npos; }

HubCache::HubCache(const fs::path& cache, const HubRepo& repo)
    : folder_(cache / folder_name(repo)), locks_(cache / ".locks" / folder_name(repo)) {}

std::optional<std::string> HubCache::commit_of(const std::string& revision) const {
  auto commit = revision;
  if (!is_commit(revision)) {
    const auto ref = folder_ / "refs" / revision;
    if (!fs::is_regular_file(ref)) return std::nullopt;
    commit = read_file(ref);
    while (commit.ends_with('\n')) commit.pop_back();
    if (!is_commit(commit))
      throw IoError(
          {.who = ref.string(), .found = "'" + commit.substr(0, 80) + "'", .expected = "a commit", .remedy = "remove it, and fetch again"});
  }
  if (!fs::is_directory(snapshot(commit))) return std::nullopt;
  return commit;
}

void HubCache::remember(const std::string& revision, const std::string& commit) const {
  if (revision == commit) return;
  const auto ref = folder_ / "refs" / revision;
  make_folder(ref.parent_path());
  if (fs::is_regular_file(ref) && read_file(ref) == commit) return;
  write_file_atomically(ref, commit);
}

void HubCache::link(const std::string& commit, const std::string& file, const std::string& etag) const {
  const auto place = snapshot(commit) / file;
  const auto target = blob(etag).lexically_relative(place.parent_path());
  make_folder(place.parent_path());
  std::error_code none;
  if (fs::read_symlink(place, none) == target) return;
  const auto neighbour = temporary_beside(blob(etag));  // not beside its place: a file's name may be as long as names may be
  if (symlink(target.c_str(), neighbour.c_str()) != 0) throw io_error(place, "cannot make this link", errno);
  if (rename(neighbour.c_str(), place.c_str()) == 0) return;
  const auto error = errno;
  unlink(neighbour.c_str());
  throw io_error(place, "cannot make this link", error);
}

void HubCache::make_folders() const {
  for (const auto& folder : {folder_ / "blobs", folder_ / "snapshots", folder_ / "refs", locks_}) make_folder(folder);
}

std::string hub_name(const fs::path& folder) {
  const auto path = folder.lexically_normal();
  const auto commit = path.filename().empty() ? path.parent_path() : path;  // a trailing slash
  const auto snapshots = commit.parent_path();
  auto name = snapshots.parent_path().filename().string();
  if (!is_commit(commit.filename().string()) || snapshots.filename() != "snapshots" || !name.starts_with(kModels)) return folder.string();
  name.erase(0, kModels.size());
  const auto at = name.find(kSlash);
  if (at == std::string::npos) return folder.string();
  return name.replace(at, kSlash.size(), "/");
}

}  // namespace herd
