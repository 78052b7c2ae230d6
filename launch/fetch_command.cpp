#include "launch/fetch_command.h"

#include <fmt/format.h>
#include <fnmatch.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "launch/command_line.h"
#include "launch/hub_files.h"
#include "runtime/base/exit_codes.h"
#include "runtime/base/file.h"
#include "runtime/base/log.h"
#include "runtime/base/new_folder.h"
#include "runtime/base/text.h"

namespace herd {
namespace {

namespace fs = std::filesystem;

struct FetchRequest {
  std::string id, revision;
  bool dataset = false;
  std::vector<std::string> include, exclude;
  fs::path output;  ///< empty: the cache alone
};

HubRepo repo_of(const FetchRequest& request) {
  auto repo = parse_hub_repo(request.id, request.dataset ? HubKind::kDataset : HubKind::kModel);
  if (!repo) refuse_arguments("'" + request.id + "'", "a hub's id: org/name, or org/name@revision");
  if (request.revision.empty()) return *repo;
  if (request.id.find('@') != std::string::npos) refuse_arguments("'" + request.id + "' and --revision", "one of them");
  if (!is_revision(request.revision)) refuse_arguments("--revision '" + request.revision + "'", "a branch, a tag or a commit");
  repo->revision = request.revision;
  return *repo;
}

bool matches(const std::vector<std::string>& patterns, const std::string& name) {
  return std::any_of(patterns.begin(), patterns.end(), [&](const auto& pattern) { return fnmatch(pattern.c_str(), name.c_str(), 0) == 0; });
}

std::vector<std::string> readable(const std::vector<std::string>& names, bool dataset) {
  if (dataset) return record_files(names);
  const bool adapter = std::find(names.begin(), names.end(), "adapter_config.json") != names.end();
  return files_for(adapter ? HubUse::kAdapter : HubUse::kModel)(names);
}

SelectFiles selection(const FetchRequest& request) {
  return [&request](const std::vector<std::string>& names) {
    std::vector<std::string> wanted;
    if (request.include.empty()) wanted = readable(names, request.dataset);
    else
      std::copy_if(names.begin(), names.end(), std::back_inserter(wanted),
                   [&](const auto& name) { return matches(request.include, name); });
    std::erase_if(wanted, [&](const auto& name) { return matches(request.exclude, name); });
    if (wanted.empty())
      throw IoError({.who = request.id,
                     .found = "no file that --include takes and --exclude leaves",
                     .expected = "some of " + join(names),
                     .remedy = ""});
    return wanted;
  };
}

/// Copies, not links: a folder that may go anywhere.
void copy_into(const fs::path& folder, const Fetched& fetched) {
  for (const auto& name : fetched.files) {
    const auto to = folder / name;
    make_folder(to.parent_path());
    std::error_code error;
    fs::copy_file(fetched.folder / name, to, error);
    if (error) throw io_error(to, "cannot copy from the cache", error.value());
    File(to, File::Mode::append).sync();
  }
}

int fetch(const FetchRequest& request) {
  const auto repo = repo_of(request);
  const auto settings = hub_settings();
  std::optional<NewFolder> output;
  if (!request.output.empty()) output.emplace(request.output, NewFolder::Place::kFree);
  const auto select = selection(request);
  const auto fetched = settings.offline ? cached_repo(settings, repo, select) : fetch_repo(settings, repo, select);
  if (output) {
    copy_into(output->path(), fetched);
    output->commit();
  }
  std::uint64_t bytes = 0;
  for (const auto& name : fetched.files) bytes += fs::file_size(fetched.folder / name);
  log_info("{}: commit {}, {}, {}{}", repo.title(), fetched.commit, plural(static_cast<std::int64_t>(fetched.files.size()), "file"),
           human_bytes(bytes), settings.offline ? ", as the cache has them (HF_HUB_OFFLINE)" : "");
  fmt::print("{}\n", (output ? request.output : fetched.folder).string());
  return kExitSuccess;
}

}  // namespace

int fetch_command(int argc, char** argv) {
  CLI::App app("Fetches a model or data set by its hub id, into the cache that Hugging Face's libraries share; prints where it is.",
               "herd fetch");
  FetchRequest request;
  app.add_option("id", request.id, "org/name, or org/name@revision")->required();
  app.add_option("--revision", request.revision, "a branch, a tag or a commit; default: main");
  app.add_flag("--dataset", request.dataset, "a data set; default: a model, or an adapter");
  app.add_option("--include", request.include,
                 "files to fetch, as a pattern (*.json); may be given several times; default: what herd reads")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  app.add_option("--exclude", request.exclude, "files of those to leave out; may be given several times")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  app.add_option("--output", request.output, "copy the files into this folder as well; new or empty");
  app.footer("herd fetch org/name\nherd fetch org/name --dataset --include 'train/*.json' --output records");
  if (!parse_arguments(app, argc, argv)) return kExitSuccess;
  return fetch(request);
}

}  // namespace herd
