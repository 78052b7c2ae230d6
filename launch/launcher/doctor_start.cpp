#include "launch/launcher/doctor_start.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "runtime/base/error.h"
#include "runtime/base/exit_codes.h"
#include "runtime/base/log.h"
#include "runtime/base/process.h"
#include "runtime/base/text.h"

namespace herd {
namespace {

Hosts two_of_each(Hosts hosts) {
  for (auto& host : hosts) host.slots = std::min(host.slots, 2);
  return hosts;
}

// The doctor knows hosts by the names that they give themselves; here they are known by the order of their ranks.
std::vector<std::string> names_of_ranks(const Hosts& placed, const std::vector<int>& ranks) {
  std::vector<std::string> names;
  for (int first = 0; const auto& host : placed) {
    if (std::any_of(ranks.begin(), ranks.end(), [&](int rank) { return rank >= first && rank < first + host.slots; })) names.push_back(host.name);
    first += host.slots;
  }
  return names;
}

}  // namespace

int doctor_hosts(const DoctorOptions& options, const Starter& starter, const Hosts& hosts, const Signals& signals) {
  auto what = starter.supervision(two_of_each(hosts), options.rank_command());
  what.prefix = false;
  what.grace_s = 1;  // there is nothing to save
  const auto done = supervise(what, signals);
  return done.stopped == Signal::none ? done.code : exit_code(done.stopped);
}

Hosts check_hosts(const LaunchOptions& launch, const std::string& folder, const Starter& starter, const Hosts& hosts, const Signals& signals) {
  namespace fs = std::filesystem;
  DoctorOptions options{.start = launch.start, .folder = folder, .baseline = {}, .quick = true, .report = {}, .bounds = {}};
  // Rank 0, which writes it, may be on another host.
  options.report = (fs::path(folder) / fmt::format(".doctor-report-{}-{}.json", host_name(), getpid())).string();
  const auto code = doctor_hosts(options, starter, hosts, signals);
  if (signals.pending() != Signal::none) return hosts;
  const bool examined = fs::exists(options.report);
  const auto report = examined ? read_report(options.report) : DoctorReport();
  fs::remove(options.report);
  if (!examined || report.findings > 0)
    throw CommError({.who = "herd doctor", .found = examined ? plural(report.findings, "finding") + ", told above" : fmt::format("no examination (exit code {})", code),
                     .expected = "hosts that are fit", .remedy = "see to them, leave them out of --hosts, or start all the same with --no-check"});
  if (report.slow_hosts.empty()) return hosts;
  if (!launch.leave_out_slow) {
    log_warning("starting all the same with {}; --leave-out-slow goes without", join(report.slow_hosts));
    return hosts;
  }
  log_info("leaving out {}", join(report.slow_hosts));
  return without(hosts, names_of_ranks(two_of_each(hosts), report.slow_first_ranks));
}

}  // namespace herd
