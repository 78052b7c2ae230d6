#pragma once
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "runtime/net/hub_client.h"

namespace herd {

/// Which of a repository's files to have, given the names of all. Throws where what is needed is not among them.
using SelectFiles = std::function<std::vector<std::string>(const std::vector<std::string>& names)>;

/// What a fetch came to.
struct Fetched {
  std::filesystem::path folder;    ///< the snapshot in the cache, whose files are links
  std::vector<std::string> files;  ///< those selected, all there
  std::string commit;
};

/// Brings what is missing of a repository's files into the cache, each held against its hash before it takes its name, and then lets the
/// revision point there. What an interrupted fetch has left is gone on with. Several processes may do so at once; HF_HUB_OFFLINE is the
/// caller's.
/// @throws HubUnreachable, IoError (also: no room, a file of other bytes than its hash says, twice).
Fetched fetch_repo(const HubSettings& settings, const HubRepo& repo, const SelectFiles& select, RetryPolicy retries = {});

/// What the cache holds of it: the files selected among those of the snapshot that was fetched last. Asks nobody. @throws IoError where
/// there is none.
Fetched cached_repo(const HubSettings& settings, const HubRepo& repo, const SelectFiles& select);

}  // namespace herd
