#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace herd {

/// Which hub, as whom, and where its files are kept: what Hugging Face's Python libraries take from the same variables of the environment.
struct HubSettings {
  std::string endpoint = "https://huggingface.co";  ///< HF_ENDPOINT: a mirror's address
  std::string token;                                ///< HF_TOKEN, else the file HF_TOKEN_PATH or HF_HOME/token; empty: nobody
  std::filesystem::path cache;  ///< HF_HUB_CACHE, else HF_HOME/hub; HF_HOME is XDG_CACHE_HOME/huggingface, or ~/.cache/huggingface
  bool offline = false;         ///< HF_HUB_OFFLINE=1: only what the cache holds
  double timeout_s = 10;        ///< HF_HUB_DOWNLOAD_TIMEOUT: longest silence of a server
};

/// @throws ConfigError naming the variable whose value makes no sense.
HubSettings hub_settings();

enum class HubKind { kModel, kDataset };

/// A repository on the hub, and which state of it.
struct HubRepo {
  HubKind kind = HubKind::kModel;
  std::string name;               ///< `org/name`
  std::string revision = "main";  ///< a branch, a tag or a commit

  /// `model org/name@main`, for messages.
  std::string title() const;
};

/// `org/name` or `org/name@revision` as a repository; nothing where the text cannot be one. That a folder may have such a name is for the
/// caller.
std::optional<HubRepo> parse_hub_repo(std::string_view text, HubKind kind);

/// Whether a branch, tag or commit can have this name, and so be a path below `refs/`.
bool is_revision(std::string_view text);

/// Whether a file of a repository can have this name: a relative path of ordinary names, none of them `..`, none too long for a file
/// system.
bool is_file_name(std::string_view text);

}  // namespace herd
