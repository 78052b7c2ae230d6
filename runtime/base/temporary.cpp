#include "runtime/base/temporary.h"

#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include "runtime/base/process.h"

namespace herd {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kOld = "-old";

std::string mark() { return ".tmp-" + host_name() + "-"; }

bool is_gone(pid_t process) { return kill(process, 0) != 0 && errno == ESRCH; }

struct Temporary {
  std::string place;
  pid_t process = 0;
  bool is_old = false;
};

// A name that temporary_beside() gave on this host, or its `-old`.
std::optional<Temporary> parse(std::string_view name) {
  const auto marked = mark();
  const auto at = name.rfind(marked);
  if (!name.starts_with('.') || at == std::string_view::npos) return std::nullopt;
  Temporary found{.place = std::string(name.substr(1, at - 1))};
  name.remove_prefix(at + marked.size());
  if (name.ends_with(kOld)) {
    found.is_old = true;
    name.remove_suffix(kOld.size());
  }
  const auto* const end = name.data() + name.size();
  pid_t thread = 0;
  const auto process = std::from_chars(name.data(), end, found.process);
  if (process.ec != std::errc{} || process.ptr == end || *process.ptr != '-') return std::nullopt;
  const auto rest = std::from_chars(process.ptr + 1, end, thread);
  // Zero and negative numbers mean groups of processes to kill().
  if (rest.ec != std::errc{} || rest.ptr != end || found.process <= 0 || thread <= 0) return std::nullopt;
  return found;
}

}  // namespace

fs::path temporary_beside(const fs::path& place) {
  auto name = "." + place.filename().string() + mark() + std::to_string(getpid()) + "-" + std::to_string(gettid());
  return fs::path(place).replace_filename(name);
}

void remove_leftovers(const fs::path& folder, std::string_view name) {
  std::error_code ignored;
  std::vector<fs::path> left;  // a folder is not changed while it is being read
  for (const auto& entry : fs::directory_iterator(folder, ignored)) left.push_back(entry.path());
  for (const auto& path : left) {
    const auto found = parse(path.filename().string());
    if (!found || (!name.empty() && found->place != name) || !is_gone(found->process)) continue;
    const auto place = folder / found->place;
    if (found->is_old && !fs::exists(place, ignored)) fs::rename(path, place, ignored);
    else fs::remove_all(path, ignored);
  }
}

}  // namespace herd
