#include "data/readers/paths.h"

#include <fnmatch.h>

#include <algorithm>
#include <filesystem>

#include "runtime/base/error.h"
#include "runtime/base/text.h"

namespace herd {
namespace {

namespace fs = std::filesystem;

const std::vector<std::string> kEndings{".json", ".jsonl", ".ndjson", ".txt", ".csv", ".tsv"};
const std::vector<std::string> kPackings{".gz", ".gzip", ".zst", ".zstd"};

bool among(const std::vector<std::string>& list, const std::string& name) {
  return std::find(list.begin(), list.end(), name) != list.end();
}

std::string lower_extension(const fs::path& path) {
  auto ending = path.extension().string();
  std::transform(ending.begin(), ending.end(), ending.begin(), [](unsigned char c) { return std::tolower(c); });
  return ending;
}

bool hidden(const fs::path& path) { return path.filename().string().starts_with('.'); }

std::vector<fs::path> inside(const fs::path& folder) {
  std::vector<fs::path> out;
  std::error_code unreadable;
  for (const auto& entry : fs::directory_iterator(folder.empty() ? fs::path(".") : folder, unreadable))
    out.push_back(folder / entry.path().filename());
  return out;
}

void all_folders(const fs::path& folder, std::vector<fs::path>& out) {
  out.push_back(folder);
  for (const auto& path : inside(folder))
    if (!hidden(path) && fs::is_directory(path) && !fs::is_symlink(path)) all_folders(path, out);
}

/// What a pattern names, part by part.
std::vector<fs::path> matches(const fs::path& pattern) {
  std::vector<fs::path> found{pattern.root_path()};
  for (const auto& part : pattern.relative_path()) {
    std::vector<fs::path> next;
    for (const auto& folder : found) {
      if (part == "**") {
        all_folders(folder, next);
      } else if (part.string().find_first_of("*?[") == std::string::npos) {
        if (fs::exists(folder / part)) next.push_back(folder / part);
      } else {
        for (auto& path : inside(folder))
          if (fnmatch(part.c_str(), path.filename().c_str(), FNM_PERIOD) == 0) next.push_back(std::move(path));
      }
    }
    found = std::move(next);
  }
  return found;
}

void add_files(const fs::path& path, std::vector<std::string>& out) {
  if (!fs::is_directory(path)) return out.push_back(path.string());
  std::vector<fs::path> folders;
  all_folders(path, folders);
  for (const auto& folder : folders)
    for (const auto& file : inside(folder))
      if (!hidden(file) && among(kEndings, data_ending(file.string())) && !fs::is_directory(file)) out.push_back(file.string());
}

/// The name beside it that it may be a slip of.
std::string neighbour(const fs::path& pattern) {
  std::vector<std::string> names;
  for (const auto& path : inside(pattern.parent_path())) names.push_back(path.filename().string());
  std::sort(names.begin(), names.end());
  auto name = pattern.filename().string();
  const auto close = nearest(name, names);
  return close.empty() ? "" : (pattern.parent_path() / close).string();
}

}  // namespace

std::vector<std::string> expand_paths(std::span<const std::string> patterns) {
  std::vector<std::string> out;
  for (const auto& pattern : patterns) {
    std::vector<std::string> files;
    for (const auto& path : fs::exists(pattern) ? std::vector<fs::path>{pattern} : matches(pattern)) add_files(path, files);
    std::sort(files.begin(), files.end());
    files.erase(std::unique(files.begin(), files.end()), files.end());
    if (files.empty()) {
      const auto close = neighbour(pattern);
      throw IoError({.who = pattern,
                     .found = fs::is_directory(pattern) ? "no file of data in this folder" : "no such file",
                     .expected = fs::is_directory(pattern) ? "names in " + join(kEndings) + ", also packed" : "at least one",
                     .remedy = close.empty() || close == pattern ? "" : "did you mean '" + close + "'?"});
    }
    out.insert(out.end(), files.begin(), files.end());
  }
  return out;
}

std::string data_ending(const std::string& path) {
  const fs::path name(path);
  const auto ending = lower_extension(name);
  return among(kPackings, ending) ? lower_extension(name.stem()) : ending;
}

}  // namespace herd
