#include "launch/run_start.h"

#include <ATen/Parallel.h>
#include <dlfcn.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "launch/run_end.h"
#include "launch/run_settings.h"
#include "parallel/comm/agree.h"
#include "runtime/base/affinity.h"
#include "runtime/base/file.h"
#include "runtime/base/hash.h"
#include "runtime/base/log.h"
#include "runtime/base/process.h"
#include "runtime/base/text.h"

namespace herd {
namespace {

namespace fs = std::filesystem;

// Why the run before this one in the same folder ended, as far as its ranks could tell.
std::vector<std::string> former_end(const RunFolder& folder) {
  const auto end = run_end(folder);
  if (end.cause)
    return {fmt::format("the run before this one ended at {}Z by rank {} on {}: {}", end.cause->time.substr(0, 19), end.cause->rank, end.cause->host,
                        end.cause->message)};
  if (end.orderly) return {};
  std::vector<std::string> lines{"the run before this one ended without a word"};
  for (const auto& finding : end.findings) lines.push_back("its flight logs: " + finding);
  return lines;
}

void compare(const Settings& mine, const Settings& first) {
  auto keys = first;
  keys.insert(mine.begin(), mine.end());
  for (const auto& [key, any] : keys) {
    const auto text = [&key = key](const Settings& settings) {
      const auto at = settings.find(key);
      return at == settings.end() ? "none" : at->second;
    };
    if (text(mine) == text(first)) continue;
    throw ConfigError({.who = key + " on " + host_name(),
                       .found = text(mine),
                       .expected = text(first) + ", as rank 0 has it",
                       .remedy = "start all ranks with one command line, over the same files"});
  }
}

}  // namespace

std::string build_fingerprint() {
  Hasher hasher;
  std::vector<std::string> files{"/proc/self/exe"};
  if (Dl_info library{}; dladdr(reinterpret_cast<void*>(&host_name), &library)) files.emplace_back(library.dli_fname);
  for (const auto& file : files) {
    const auto bytes = read_file(file);
    hasher.update(bytes.data(), bytes.size());
  }
  return hasher.hex();
}

void check_same_start(const ResolvedRun& run, Communicator& communicator) {
  const auto build = agree(communicator, [] { return build_fingerprint(); });
  const auto first_build = broadcast_string(communicator, build);
  agree(communicator, [&] {
    if (build == first_build) return;
    throw ConfigError({.who = "herd on " + host_name(),
                       .found = "build " + build,
                       .expected = "build " + first_build + ", which rank 0 runs",
                       .remedy = "put one build on every host"});
  });
  check_same_recipe(run, communicator);
}

void check_same_recipe(const ResolvedRun& run, Communicator& communicator) {
  const auto settings = settings_of(run.tree);
  const auto first = broadcast_string(communicator, nlohmann::json(settings).dump());
  agree(communicator, [&] { compare(settings, nlohmann::json::parse(first).get<Settings>()); });
}

void record_flight(const RunFolder& folder, Communicator& communicator) {
  try {
    make_folder(folder.flight());
    communicator.record_flight(folder.flight());
  } catch (const IoError& error) {
    log_warning("no flight log: {}", error.what());
  }
}

ClaimedFolder claim_run_folder(const ResolvedRun& run, Communicator& communicator) {
  const auto& options = run.config.run;
  std::optional<RunLock> lock;
  std::string root;
  agree(communicator, [&] {
    if (communicator.rank() != 0) return;
    const auto parent = fs::absolute(options.folder).lexically_normal();
    const auto folder = options.name.empty() ? new_run_folder(parent) : RunFolder(parent / options.name);
    const auto former = former_end(folder);  // before the lock clears it away
    lock.emplace(folder);
    refuse_used(folder, run.config.checkpoint.resume);
    run.save(folder.config());
    attach_log_file(folder.log().string());
    for (const auto& line : former) log_info("{}", line);
    root = folder.root().string();
  });
  return {RunFolder(broadcast_string(communicator, root)), std::move(lock)};
}

int use_threads(std::int64_t wanted, Communicator& communicator) {
  int threads = static_cast<int>(wanted);
  if (wanted > 0) {
    ensure_cpus(threads);
  } else {
    threads = std::max(1, static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN)) / communicator.local_size());
    try {
      ensure_cpus(threads);
    } catch (const ConfigError&) {
      threads = usable_cpus();  // the share that a batch system or taskset gave this rank
    }
  }
  const auto cpus = static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
  if (threads * communicator.local_size() > cpus)
    log_info("{} of {} on {}: they will take turns", plural(communicator.local_size(), "rank"), plural(threads, "thread"), plural(cpus, "CPU"));
  at::set_num_threads(threads);
  return threads;
}

}  // namespace herd
