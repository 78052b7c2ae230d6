#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/error.h"
#include "runtime/net/http.h"
#include "runtime/net/hub_settings.h"

namespace herd {

/// The hub did not answer, or only that it cannot just now: what was fetched before may do.
class HubUnreachable : public IoError {
  using IoError::IoError;
};

/// What a repository holds at a commit.
struct HubListing {
  std::string commit;
  std::vector<std::string> files;  ///< each an is_file_name
};

/// What the hub says of a file's content.
struct HubFile {
  std::string name;
  std::string etag;  ///< SHA-256 of the bytes (64 hex digits; large files), or git's SHA-1 of the blob (40)
  std::uint64_t size = 0;
};

/// How often a request is tried again that another try may help, and after how long at first; then twice as long each time.
struct RetryPolicy {
  int tries = 5;
  double wait_s = 0.5;
};

/// The few requests of the hub's HTTP API that fetching takes. Silence, broken connections, 408, 429 and 5xx are tried again, after what
/// Retry-After says where it says; a host that has never answered is asked once. Errors: HubUnreachable where that did not help; IoError
/// for a repository, revision or file that is not there or not for this token.
class HubClient {
 public:
  explicit HubClient(HubSettings settings, RetryPolicy retries = {});

  /// Also refuses a listing with a name that leads out of its folder.
  HubListing list(const HubRepo& repo);
  HubFile describe(const HubRepo& repo, const std::string& commit, const std::string& file);
  /// The bytes of a file from `from` on. `begin` is told where the server really begins: at `from`, or at 0 where it knows no ranges. It
  /// comes again, from where the last try came to, after each broken try; what `take` throws ends it.
  void download(const HubRepo& repo, const std::string& commit, const HubFile& file, std::uint64_t from,
                const std::function<void(std::uint64_t from)>& begin, const std::function<void(std::string_view bytes)>& take);

 private:
  class Retries;

  HttpResponse ask(const HttpRequest& request, const HubRepo& repo, const std::string& file, std::string& body);
  HttpRequest request(std::string url) const;
  std::string file_url(const HubRepo& repo, const std::string& commit, const std::string& file) const;
  [[noreturn]] void fail(const HttpResponse& response, const HubRepo& repo, const std::string& file) const;

  HubSettings settings_;
  RetryPolicy policy_;
  Http http_;
  bool answered_ = false;
};

}  // namespace herd
