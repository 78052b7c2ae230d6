#include "launch/doctor_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "launch/command_line.h"
#include "launch/launcher/doctor_links.h"
#include "launch/launcher/doctor_measure.h"
#include "launch/launcher/doctor_options.h"
#include "launch/launcher/doctor_start.h"
#include "launch/launcher/start.h"
#include "launch/rank_failure.h"
#include "parallel/comm/agree.h"
#include "parallel/comm/backends.h"
#include "runtime/base/exit_codes.h"
#include "runtime/base/launcher.h"
#include "runtime/base/log.h"
#include "runtime/base/text.h"
#include "runtime/report/text_table.h"

namespace herd {
namespace {

constexpr double kPatience = 120;  // s, for one step of the examination on every host

void print_cards(const std::vector<HostCard>& cards) {
  std::vector<std::vector<std::string>> rows{{"host", "ranks", "clock", "disk free", "memory free", "GPUs"}};
  for (const auto& card : cards)
    rows.push_back({card.host, std::to_string(card.ranks), fmt::format("{:+.3f} s", card.clock_ahead_s), human_bytes(card.disk_bytes), human_bytes(card.memory_bytes),
                    card.gpus.empty() ? "none" : fmt::format("{} {}", card.gpus.size(), card.gpus.front().name)});
  fmt::print("{}", text_table(rows, "lrrrrl"));
}

void print_links(const std::vector<LinkTime>& times, std::int64_t bytes) {
  constexpr std::size_t kMost = 20;
  auto slowest = times;
  std::sort(slowest.begin(), slowest.end(), [](const auto& a, const auto& b) { return a.seconds > b.seconds; });
  if (slowest.size() > kMost) slowest.resize(kMost);
  fmt::print("\nall-reduce of {}, the slowest of {}\n", human_bytes(static_cast<std::uint64_t>(bytes)), plural(static_cast<std::int64_t>(times.size()), "link"));
  for (const auto& time : slowest) fmt::print("  {:<32} {:8.2f} ms\n", time.name(), 1e3 * time.seconds);
}

void tell(const std::vector<Finding>& findings) {
  for (const auto& finding : findings) fmt::print("unfit: {}\n", finding.text());
}

// On rank 0. @return the exit code.
int report(const DoctorOptions& options, const std::vector<HostCard>& cards, const std::vector<LinkTime>& times) {
  const auto baseline = options.new_baseline ? Baseline() : read_baseline(options.baseline_file(), options.bytes());
  const auto findings = examine(cards, options.bounds);
  const auto links = judge_links(times, baseline, options.bounds.slow_ratio);
  print_cards(cards);
  if (!times.empty()) print_links(times, options.bytes());
  tell(findings);
  tell(links.findings);
  // What is slow today is not to be the measure of tomorrow.
  if (!times.empty() && links.findings.empty()) store_baseline(options.baseline_file(), options.bytes(), times, options.new_baseline);
  DoctorReport left{.slow_hosts = links.slow_hosts, .slow_first_ranks = {}, .findings = static_cast<int>(findings.size())};
  for (const auto& host : links.slow_hosts)
    for (const auto& card : cards)
      if (card.host == host) left.slow_first_ranks.push_back(card.first_rank);
  if (!options.report.empty()) write_report(options.report, left);
  if (findings.empty() && links.findings.empty()) fmt::print("\n{} fit\n", plural(static_cast<std::int64_t>(cards.size()), "host"));
  return findings.empty() && links.findings.empty() ? kExitSuccess : kExitFailure;
}

int run_on_rank(const DoctorOptions& options) {
  auto communicator = make_communicator("auto", {.deadline_s = kPatience});
  set_log_rank(communicator->rank(), communicator->size());
  try {
    communicator->watch([](const std::string& cause) { fmt::print(stderr, "error: {}\n", cause); });
    const auto cards = gather_cards(*communicator, options.folder);
    const auto times = time_links(*communicator, cards, options.bytes(), options.repeats());
    const auto code = agree(*communicator, [&] { return communicator->rank() == 0 ? report(options, cards, times) : kExitSuccess; });
    const auto first = broadcast_string(*communicator, std::to_string(code));
    communicator->stop_watching();
    return std::stoi(first);
  } catch (const std::exception& e) {
    return fail_on_rank(e, nullptr, *communicator);
  }
}

}  // namespace

int doctor_command(int argc, char** argv) {
  CLI::App app("Whether hosts are fit for a run: one build and one set of libraries, a shared folder, clocks, room, GPUs, and the time of an all-reduce inside and between them.", "herd doctor");
  DoctorOptions options;
  declare(app, options);
  if (!parse_arguments(app, argc, argv)) return kExitSuccess;
  const bool starts = options.start.ranks > 0 || !options.start.hosts.empty() || !options.start.hostfile.empty();
  if (launcher().ranks > 1 || launcher().connects_ranks || !starts) return run_on_rank(options);
  const Signals signals;
  return doctor_hosts(options, Starter(options.start), options.start.resolve_hosts(), signals);
}

}  // namespace herd
