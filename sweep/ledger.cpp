#include "sweep/ledger.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "runtime/base/exit_codes.h"
#include "runtime/base/lone_lock.h"
#include "runtime/report/metrics.h"
#include "runtime/report/run_folder.h"

namespace herd::sweep {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::array kNames{"waiting", "running", "preempted", "stopped", "finished", "diverged", "failed"};
constexpr double kWorst = std::numeric_limits<double>::infinity();

State state_named(const std::string& text) {
  for (std::size_t i = 0; i < kNames.size(); ++i)
    if (text == kNames[i]) return static_cast<State>(i);
  throw std::invalid_argument("no state is called " + text);
}

// JSON has no infinity: a rung's value that is none is null, and the worst.
json number_or_null(double value) { return std::isfinite(value) ? json(value) : json(); }

std::string first_error_in(const fs::path& log) {
  if (!fs::exists(log)) return "";
  const auto text = read_file(log);
  const auto at = text.rfind("error: ");
  if (at == std::string::npos) return "";
  constexpr std::size_t kMost = 400;
  auto found = text.substr(at + 7, kMost);
  while (!found.empty() && (found.back() == '\n' || (static_cast<unsigned char>(found.back()) & 0xc0) == 0x80)) found.pop_back();
  return found;
}

}  // namespace

const char* name(State state) { return kNames[static_cast<std::size_t>(state)]; }

Standing Ledger::read(const std::string& id) const {
  const auto file = folder(id) / "state.json";
  if (!fs::exists(file)) return {};
  try {
    const auto stored = json::parse(read_file(file));
    Standing standing{.state = state_named(stored.at("state")), .starts = stored.at("starts"), .seconds = stored.at("seconds"),
                      .exit_code = {}, .error = stored.at("error"), .value = {}, .step = stored.at("step"), .rungs = {}};
    if (!stored.at("exit_code").is_null()) standing.exit_code = stored.at("exit_code").get<int>();
    if (!stored.at("value").is_null()) standing.value = stored.at("value").get<double>();
    for (const auto& rung : stored.at("rungs")) standing.rungs.push_back(rung.is_null() ? kWorst : rung.get<double>());
    return standing;
  } catch (const IoError&) {
    throw;
  } catch (const std::exception& error) {
    throw IoError({.who = file.string(), .found = error.what(), .expected = "what herd sweep writes there", .remedy = "remove it, and the point is run again"});
  }
}

void Ledger::write(const std::string& id, const Standing& standing) const {
  json stored{{"state", name(standing.state)}, {"starts", standing.starts}, {"seconds", standing.seconds}, {"exit_code", nullptr},
              {"error", standing.error},       {"value", nullptr},          {"step", standing.step},       {"rungs", json::array()}};
  if (standing.exit_code) stored["exit_code"] = *standing.exit_code;
  if (standing.value) stored["value"] = *standing.value;
  for (const auto rung : standing.rungs) stored["rungs"].push_back(number_or_null(rung));
  make_folder(folder(id));
  write_file_atomically(folder(id) / "state.json", stored.dump(2, ' ', false, json::error_handler_t::replace) + "\n");
}

Hold::Hold(const fs::path& folder, const std::string& what) : file_((make_folder(folder), File(folder / "lock", File::Mode::append))) {
  lock_alone(file_, {.who = what + " in " + folder.string(), .found = "at work already", .expected = "", .remedy = "wait for it or end it; or another folder=… for a sweep of its own"});
}

std::optional<std::pair<std::int64_t, double>> value_of(const fs::path& run, const SweepOptions& options) {
  const auto file = RunFolder(run).metrics();
  if (!fs::exists(file)) return std::nullopt;
  std::optional<std::pair<std::int64_t, double>> found;
  for (const auto& line : read_metrics(file)) {
    const auto value = line.get(options.metric);
    if (!value || !std::isfinite(*value)) continue;
    const bool better = !found || options.value == Which::kLast || (options.goal == Goal::kMin ? *value < found->second : *value > found->second);
    if (better) found = {line.step, *value};
  }
  return found;
}

namespace {

// Whether the last value of the metric is there and no number: a run that skips such steps may end so.
bool ended_without_number(const fs::path& run, const SweepOptions& options) {
  const auto file = RunFolder(run).metrics();
  if (!fs::exists(file)) return false;
  bool finite = true;
  for (const auto& line : read_metrics(file))
    if (const auto value = line.get(options.metric)) finite = std::isfinite(*value);
  return !finite;
}

}  // namespace

Verdict judge(const fs::path& run, const fs::path& log, int exit_code, bool asked, const SweepOptions& options) {
  if (exit_code == kExitPreempted || exit_code == kExitTerminated || (asked && exit_code >= 128)) return {.state = State::kPreempted, .error = {}, .value = {}};
  const auto value = value_of(run, options);
  Verdict verdict{.state = State::kFinished, .error = {}, .value = value ? std::optional(value->second) : std::nullopt, .step = value ? value->first : 0};
  if (exit_code != kExitSuccess) {
    const auto cause = first_cause(RunFolder(run));
    verdict.error = cause ? cause->message : first_error_in(log);
    if (verdict.error.empty()) verdict.error = fmt::format("exit code {}, and nothing said", exit_code);
    verdict.state = cause && cause->message.find(kNotFinite) != std::string::npos ? State::kDiverged : State::kFailed;
  } else if (ended_without_number(run, options)) {
    verdict.state = State::kDiverged;
    verdict.error = options.metric + " is no number at the end";
  } else if (!value) {
    verdict.state = State::kFailed;
    verdict.error = "no '" + options.metric + "' in " + RunFolder(run).metrics().string();
  }
  return verdict;
}

}  // namespace herd::sweep
