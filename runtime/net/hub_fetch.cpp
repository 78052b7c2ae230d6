#include "runtime/net/hub_fetch.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "runtime/base/digest.h"
#include "runtime/base/log.h"
#include "runtime/base/text.h"
#include "runtime/base/waiting_lock.h"
#include "runtime/net/hub_cache.h"
#include "runtime/net/transfer_progress.h"

namespace herd {
namespace {

namespace fs = std::filesystem;

std::uint64_t size_of(const fs::path& path) {
  std::error_code none;
  const auto size = fs::file_size(path, none);
  return none ? 0 : size;
}

/// The hash that the hub knows a file by: git's of a blob, or that of the bytes.
Digest begin_digest(const HubFile& file) {
  Digest digest(file.etag.size() == 40 ? Digest::Kind::kSha1 : Digest::Kind::kSha256);
  if (file.etag.size() == 40) {
    const auto header = "blob " + std::to_string(file.size);
    digest.update(header.c_str(), header.size() + 1);  // with its zero
  }
  return digest;
}

/// A content on its way into the cache. Lives under the content's lock.
class IncompleteFile {
 public:
  IncompleteFile(const fs::path& path, const HubFile& wanted, TransferProgress& progress)
      : wanted_(wanted), progress_(progress), file_(path, File::Mode::append), digest_(begin_digest(wanted)) {
    const auto left = size_of(path);
    if (left > wanted.size) cut_at_0();
    else read_what_is_there();
  }

  std::uint64_t size() const { return size_; }
  void begin(std::uint64_t from) {
    if (from == 0 && size_ > 0) start_again();
  }
  void add(std::string_view bytes) {
    file_.write(bytes);
    digest_.update(bytes.data(), bytes.size());
    size_ += bytes.size();
    progress_.add(static_cast<std::int64_t>(bytes.size()));
  }
  void start_again() {
    progress_.add(-static_cast<std::int64_t>(size_));
    cut_at_0();
  }
  std::string digest() { return digest_.finish(); }
  void close() {
    file_.sync();
    file_.close();
  }

 private:
  void cut_at_0() {
    if (ftruncate(file_.descriptor(), 0) != 0) throw io_error(file_.path(), "cannot be emptied", errno);
    size_ = 0;
    digest_ = begin_digest(wanted_);
  }
  void read_what_is_there() {
    File left(file_.path(), File::Mode::read);
    std::vector<char> piece(std::size_t{1} << 20);
    for (;;) {
      const auto count = read(left.descriptor(), piece.data(), piece.size());
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) throw io_error(file_.path(), "cannot read", errno);
      if (count == 0) return;
      digest_.update(piece.data(), static_cast<std::size_t>(count));
      size_ += static_cast<std::uint64_t>(count);
    }
  }

  const HubFile& wanted_;
  TransferProgress& progress_;
  File file_;
  Digest digest_;
  std::uint64_t size_ = 0;
};

class Fetch {
 public:
  Fetch(const HubSettings& settings, const HubRepo& repo, RetryPolicy retries)
      : repo_(repo), cache_(settings.cache, repo), hub_(settings, retries) {}

  Fetched run(const SelectFiles& select) {
    const auto listing = hub_.list(repo_);
    commit_ = listing.commit;
    Fetched out{.folder = cache_.snapshot(commit_), .files = select(listing.files), .commit = commit_};
    cache_.make_folders();
    std::vector<HubFile> missing;
    std::uint64_t all = 0, here = 0;
    for (const auto& name : out.files) {
      if (fs::exists(out.folder / name)) continue;  // a commit's files never change
      missing.push_back(hub_.describe(repo_, commit_, name));
      all += missing.back().size;
      here += std::min(missing.back().size,
                       std::max(size_of(cache_.incomplete(missing.back().etag)), size_of(cache_.blob(missing.back().etag))));
    }
    need_room(all - here);
    if (!missing.empty())
      log_info("{}: commit {}, {} to fetch, {}{}", repo_.title(), commit_.substr(0, 12),
               plural(static_cast<std::int64_t>(missing.size()), "file"), human_bytes(all),
               here > 0 ? ", of which " + human_bytes(here) + " are here already" : "");
    TransferProgress progress(all, here);
    for (const auto& file : missing) fetch(file, progress);
    make_folder(out.folder);
    cache_.remember(repo_.revision, commit_);  // at the end: what a revision points to is whole
    return out;
  }

 private:
  void need_room(std::uint64_t bytes) const {
    std::error_code none;
    const auto folder = cache_.snapshot(commit_).parent_path();
    const auto space = fs::space(folder, none);
    if (none || space.available >= bytes) return;
    throw IoError({.who = repo_.title(),
                   .found = human_bytes(space.available) + " of room in " + folder.string(),
                   .expected = human_bytes(bytes) + ", what is to fetch",
                   .remedy = "free space there, or name another cache: HF_HUB_CACHE"});
  }

  void fetch(const HubFile& file, TransferProgress& progress) {
    progress.file(file.name);
    const auto blob = cache_.blob(file.etag), incomplete = cache_.incomplete(file.etag);
    const WaitingLock lock(cache_.lock(file.etag), "fetches " + file.name + " of " + repo_.title());
    if (fs::exists(blob) && size_of(blob) == file.size) {
      cache_.link(commit_, file.name, file.etag);
      return;
    }
    if (fs::exists(blob))
      log_warning("{}: {} where the hub has {}: fetched again", blob.string(), human_bytes(size_of(blob)), human_bytes(file.size));
    IncompleteFile coming(incomplete, file, progress);
    std::array<std::string, 2> found;
    for (auto& digest : found) {
      hub_.download(
          repo_, commit_, file, coming.size(), [&](std::uint64_t from) { coming.begin(from); },
          [&](std::string_view bytes) { coming.add(bytes); });
      digest = coming.digest();
      if (digest == file.etag) {
        coming.close();
        if (rename(incomplete.c_str(), blob.c_str()) != 0) throw io_error(blob, "cannot take its name", errno);
        sync_folder(blob.parent_path());
        cache_.link(commit_, file.name, file.etag);
        return;
      }
      coming.start_again();
      if (&digest != &found.back())
        log_warning("{}, file {}: its bytes do not have the hash that the hub gives; fetched once more from the start", repo_.title(),
                    file.name);
    }
    std::error_code none;
    fs::remove(incomplete, none);
    throw IoError({.who = repo_.title() + ", file " + file.name,
                   .found = "bytes of hash " + found.back() + (found[0] == found[1] ? ", twice" : ", and others before"),
                   .expected = file.etag,
                   .remedy = "the server, or what stands between it and here, changes them: try another mirror (HF_ENDPOINT)"});
  }

  const HubRepo& repo_;
  HubCache cache_;
  HubClient hub_;
  std::string commit_;
};

}  // namespace

Fetched fetch_repo(const HubSettings& settings, const HubRepo& repo, const SelectFiles& select, RetryPolicy retries) {
  return Fetch(settings, repo, retries).run(select);
}

Fetched cached_repo(const HubSettings& settings, const HubRepo& repo, const SelectFiles& select) {
  const HubCache cache(settings.cache, repo);
  const auto commit = cache.commit_of(repo.revision);
  if (!commit)
    throw IoError({.who = repo.title(),
                   .found = "not in the cache " + settings.cache.string(),
                   .expected = "what an earlier fetch left",
                   .remedy = "herd fetch " + repo.name + " where the hub can be reached, without HF_HUB_OFFLINE"});
  Fetched out{.folder = cache.snapshot(*commit), .files = {}, .commit = *commit};
  std::vector<std::string> names;
  for (const auto& entry : fs::recursive_directory_iterator(out.folder))
    if (!entry.is_directory() && fs::exists(entry.path())) names.push_back(entry.path().lexically_relative(out.folder).string());
  std::sort(names.begin(), names.end());
  out.files = select(names);
  return out;
}

}  // namespace herd
