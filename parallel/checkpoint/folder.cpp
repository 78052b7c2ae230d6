#include "parallel/checkpoint/folder.h"

#include <fcntl.h>
#include <stdio.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <string_view>

#include "runtime/base/file.h"
#include "runtime/base/log.h"
#include "runtime/base/temporary.h"

namespace herd {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kStep = "step-", kTemporary = ".tmp-", kGone = ".gone", kOld = ".old";

std::optional<std::int64_t> number_of(std::string_view text) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < 0) return std::nullopt;
  return number;
}

/// 120 of `step-120`.
std::optional<std::int64_t> step_of(std::string_view name) {
  return name.starts_with(kStep) ? number_of(name.substr(kStep.size())) : std::nullopt;
}

std::vector<fs::path> entries(const fs::path& folder) {
  std::vector<fs::path> all;
  std::error_code missing;
  for (const auto& entry : fs::directory_iterator(folder, missing)) all.push_back(entry.path());
  return all;
}

void move(const fs::path& from, const fs::path& to) {
  if (rename(from.c_str(), to.c_str()) != 0) throw io_error(to, "cannot be made of " + from.filename().string(), errno);
}

void remove_folder(const fs::path& folder) {
  std::error_code error;
  fs::remove_all(folder, error);
  if (error) throw io_error(folder, "cannot remove", error.value());
}

std::string trimmed(std::string text) {
  while (text.ends_with('\n') || text.ends_with(' ')) text.pop_back();
  return text;
}

}  // namespace

fs::path CheckpointFolder::temporary(std::int64_t number, std::int64_t incarnation) const {
  return root_ / (step(number).filename().string() + std::string(kTemporary) + std::to_string(incarnation));
}

std::vector<std::int64_t> CheckpointFolder::steps() const {
  std::vector<std::int64_t> found;
  for (const auto& path : entries(root_))
    if (const auto number = step_of(path.filename().string())) found.push_back(*number);
  std::sort(found.begin(), found.end());
  return found;
}

std::optional<std::int64_t> CheckpointFolder::pointed(const std::string& name) const {
  const auto path = root_ / name;
  if (!fs::exists(path)) return std::nullopt;
  const auto text = trimmed(read_file(path));
  const auto number = step_of(text);
  if (!number)
    throw IoError({.who = path.string(),
                   .found = "'" + text.substr(0, 40) + "'",
                   .expected = "the name of a checkpoint, as step-120",
                   .remedy = "write one into it"});
  return number;
}

std::optional<std::int64_t> CheckpointFolder::latest() const {
  if (const auto number = pointed("latest")) return number;
  const auto all = steps();
  return all.empty() ? std::nullopt : std::optional(all.back());
}

std::optional<std::int64_t> CheckpointFolder::best() const { return pointed("best"); }

void CheckpointFolder::point(const std::string& name, std::int64_t number) const {
  write_file_atomically(root_ / name, step(number).filename().string() + "\n");
}

std::int64_t CheckpointFolder::incarnation() const {
  const auto path = root_ / "incarnation";
  if (!fs::exists(path)) return 0;
  const auto text = trimmed(read_file(path));
  if (const auto number = number_of(text)) return *number;
  throw IoError({.who = path.string(),
                 .found = "'" + text.substr(0, 40) + "'",
                 .expected = "a number",
                 .remedy = "write one into it that is higher than any before"});
}

std::int64_t CheckpointFolder::new_incarnation() const {
  make_folder(root_);
  const auto own = incarnation() + 1;
  write_file_atomically(root_ / "incarnation", std::to_string(own) + "\n");
  return own;
}

void CheckpointFolder::need_incarnation(std::int64_t own) const {
  if (const auto now = incarnation(); now != own)
    throw IoError({.who = root_.string(),
                   .found = "incarnation " + std::to_string(now) + " of this run",
                   .expected = std::to_string(own) + ", which this process is",
                   .remedy = "the run was started again elsewhere and has taken over: this process saves nothing and ends"});
}

void CheckpointFolder::tidy(std::int64_t incarnation) const {
  remove_leftovers(root_);
  for (const auto& path : entries(root_)) {
    const auto name = path.filename().string();
    if (name.ends_with(kGone)) {
      remove_folder(path);
    } else if (name.ends_with(kOld)) {
      const auto newer = root_ / name.substr(0, name.size() - kOld.size());
      fs::exists(newer) ? remove_folder(path) : move(path, newer);
    } else if (const auto at = name.find(kTemporary); at != std::string::npos && step_of(name.substr(0, at))) {
      const auto writer = number_of(std::string_view(name).substr(at + kTemporary.size()));
      if (writer && *writer < incarnation) remove_folder(path);
    }
  }
  sync_folder(root_);
}

void CheckpointFolder::publish(const fs::path& temporary, std::int64_t number) const {
  const auto target = step(number);
  if (!fs::exists(target)) {
    move(temporary, target);
  } else if (renameat2(AT_FDCWD, temporary.c_str(), AT_FDCWD, target.c_str(), RENAME_EXCHANGE) == 0) {
    sync_folder(root_);
    remove_folder(temporary);  // the former one by now
  } else {
    const fs::path old = target.string() + std::string(kOld);
    move(target, old);
    move(temporary, target);
    sync_folder(root_);
    remove_folder(old);
  }
  sync_folder(root_);
}

void CheckpointFolder::prune(std::int64_t keep) const {
  // By commit, not by number: after a return to an earlier step, higher numbers are an abandoned future.
  struct Committed {
    std::int64_t incarnation, step;
    auto operator<=>(const Committed&) const = default;
  };
  std::vector<Committed> all;
  for (const auto number : steps()) {
    try {
      all.push_back({read_manifest(step(number)).incarnation, number});
    } catch (const IoError& error) {
      log_warning("{} is left alone: {}", step(number).string(), error.what());
    }
  }
  std::sort(all.begin(), all.end(), std::greater<>());
  const auto best_step = best(), latest_step = latest();
  for (auto i = static_cast<std::size_t>(keep); i < all.size(); ++i) {
    if (all[i].step == best_step || all[i].step == latest_step) continue;
    const fs::path gone = step(all[i].step).string() + std::string(kGone);
    remove_folder(gone);
    move(step(all[i].step), gone);
    sync_folder(root_);
    remove_folder(gone);
  }
}

CheckpointFolder checkpoints_of(const fs::path& path) {
  return CheckpointFolder(fs::is_directory(path / "checkpoints") ? path / "checkpoints" : path);
}

fs::path resolve_checkpoint(const fs::path& path) {
  if (fs::exists(path / kManifestName)) return path;
  const auto folder = checkpoints_of(path);
  if (const auto number = folder.latest()) return folder.step(*number);
  if (step_of(path.filename().string())) read_manifest(path);  // throws what it lacks
  throw IoError({.who = path.string(),
                 .found = fs::exists(path) ? "no checkpoint" : "no such folder",
                 .expected = "a run's folder, its checkpoints folder, or one of its step-N",
                 .remedy = ""});
}

}  // namespace herd
