#include "runtime/report/run_folder.h"

#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <regex>
#include <string_view>
#include <vector>

#include "runtime/base/lone_lock.h"
#include "runtime/base/process.h"
#include "runtime/base/temporary.h"

namespace herd {
namespace {

namespace fs = std::filesystem;

// What lock_alone() wrote. A lock whose run has only just begun, or one of another hand, has its text alone.
LockHolder parse_holder(std::string text) {
  static const std::regex form(R"(host (.*), process (\d{1,9})(?:, job (.*))?, since (\S+))");
  LockHolder holder;
  if (std::smatch found; std::regex_match(text, found, form))
    holder = {.host = found[1], .process = std::stoi(found[2]), .job = found[3], .since = found[4]};
  holder.text = std::move(text);
  return holder;
}

std::vector<fs::path> rank_files(const fs::path& folder, std::string_view ending) {
  std::vector<fs::path> files;
  std::error_code missing;
  for (const auto& entry : fs::directory_iterator(folder, missing))
    if (const auto name = entry.path().filename().string(); name.starts_with("rank-") && name.ends_with(ending))
      files.push_back(entry.path());
  return files;
}

std::vector<fs::path> cause_files(const RunFolder& folder) { return rank_files(folder.errors(), ".txt"); }

// `TIME rank R host H process P`, an empty line, the message.
std::optional<Cause> parse_cause(const fs::path& path) {
  constexpr std::string_view kRank = " rank ", kHost = " host ", kProcess = " process ";
  const auto text = read_file(path);
  const auto head = text.find("\n\n");
  if (head == std::string::npos) return std::nullopt;
  const auto line = text.substr(0, head);
  const auto rank = line.find(kRank), host = line.find(kHost), process = line.rfind(kProcess);
  if (rank == std::string::npos || host == std::string::npos || process == std::string::npos) return std::nullopt;
  Cause cause{.time = line.substr(0, rank),
              .rank = -1,
              .host = line.substr(host + kHost.size(), process - host - kHost.size()),
              .message = text.substr(head + 2)};
  std::from_chars(line.data() + rank + kRank.size(), line.data() + host, cause.rank);
  while (cause.message.ends_with('\n')) cause.message.pop_back();
  return cause;
}

// a … z, aa, ab, …
std::string letters(int count) {
  std::string text;
  for (; count >= 0; count = count / 26 - 1) text.insert(text.begin(), static_cast<char>('a' + count % 26));
  return text;
}

}  // namespace

RunFolder new_run_folder(const fs::path& parent) {
  make_folder(parent);
  const auto date = utc_now().substr(0, 10);
  for (int count = 0;; ++count) {
    std::error_code error;
    auto folder = parent / (date + "-" + letters(count));
    if (fs::create_directory(folder, error)) return RunFolder(std::move(folder));  // atomic: false where somebody was first
    if (error) throw io_error(folder, "cannot make this folder", error.value());
  }
}

std::optional<LockHolder> lock_holder(const RunFolder& folder) {
  if (!fs::exists(folder.lock())) return std::nullopt;
  const File file(folder.lock(), File::Mode::read);
  const bool taken = flock(file.descriptor(), LOCK_SH | LOCK_NB) == 0;
  const bool living = !taken && errno == EWOULDBLOCK;
  if (taken) flock(file.descriptor(), LOCK_UN);
  auto holder = parse_holder(lock_owner(folder.lock()));
  holder.living = living;
  return holder;
}

std::string fresh_run_name(const fs::path& parent) {
  const auto date = utc_now().substr(0, 10);
  for (int count = 0;; ++count)
    if (auto name = date + "-" + letters(count); !fs::exists(parent / name)) return name;
}

RunLock::RunLock(const RunFolder& folder)
    : file_((make_folder(folder.root()), File(folder.lock(), File::Mode::append))) {
  lock_alone(file_, {.who = "run folder " + folder.root().string(),
                     .found = "in use by another run",
                     .expected = "",
                     .remedy = "wait for that run or end it, or give this one a folder of its own (run.name=…)"});
  remove_leftovers(folder.root());
  remove_leftovers(folder.errors());
  auto left = cause_files(folder);
  for (const auto& log : rank_files(folder.flight(), ".flight")) left.push_back(log);
  for (const auto& old : left) {
    std::error_code error;
    fs::remove(old, error);
    if (error) throw io_error(old, "cannot remove", error.value());
  }
}

bool write_cause(const RunFolder& folder, int rank, const std::string& message) noexcept {
  try {
    const auto path = folder.errors() / fmt::format("rank-{}.txt", rank);
    if (fs::exists(path)) return true;
    make_folder(folder.errors());
    write_file_atomically(path, fmt::format("{} rank {} host {} process {}\n\n{}\n", utc_now(), rank, host_name(), getpid(), message));
    return true;
  } catch (...) {
    return false;  // the message is on stderr in any case
  }
}

std::optional<Cause> first_cause(const RunFolder& folder) {
  std::optional<Cause> first;
  for (const auto& path : cause_files(folder)) {
    try {
      const auto cause = parse_cause(path);
      if (cause && (!first || cause->time < first->time)) first = cause;
    } catch (const IoError&) {
      continue;  // another rank's file still names a cause
    }
  }
  return first;
}

}  // namespace herd
