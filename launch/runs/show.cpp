#include "launch/runs/show.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "launch/jobs/job_record.h"
#include "launch/run_config.h"
#include "launch/run_settings.h"
#include "runtime/base/file.h"
#include "runtime/base/text.h"
#include "runtime/report/metrics.h"
#include "runtime/report/text_table.h"

namespace herd {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

std::string number_text(std::optional<double> value) { return value ? fmt::format("{:.4g}", *value) : "-"; }
std::string loss_text(std::optional<double> value) { return value ? fmt::format("{:.4f}", *value) : "-"; }
std::string or_dash(const std::string& text) { return text.empty() ? "-" : text; }

template <class V>
Json or_null(const std::optional<V>& value) {
  return value ? Json(*value) : Json();
}
Json or_null(const std::string& text) { return text.empty() ? Json() : Json(text); }

// Some of the detail, whole characters of it.
std::string in_brief(const std::string& text) {
  constexpr std::size_t kMost = 60;
  if (text.size() <= kMost) return text;
  auto end = kMost;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return text.substr(0, end) + "…";
}

std::string changed_settings(const RunFolder& folder) {
  RunConfig defaults;
  Schema schema;
  describe(schema, defaults);
  const auto usual = settings_of(schema.store());
  std::string out;
  for (const auto& [key, value] : settings_of(read_yaml(fs::exists(folder.config()) ? folder.config() : folder.submitted()))) {
    const auto at = usual.find(key);
    if (at == usual.end() || at->second != value) out += fmt::format("  {}: {}\n", key, value);
  }
  return out;
}

std::string last_numbers(const RunFolder& folder) {
  std::map<std::string, std::pair<std::int64_t, double>> last;
  for (const auto& line : read_metrics(folder.metrics()))
    for (const auto& [key, value] : line.values) last[key] = {line.step, value};
  std::vector<std::vector<std::string>> rows;
  for (const auto& [key, at] : last) rows.push_back({"  " + key, fmt::format("{:.6g}", at.second), fmt::format("step {}", at.first)});
  return text_table(rows, "lrl");
}

std::string places(const RunFolder& folder) {
  std::string out;
  if (const auto latest = folder.checkpoints() / "latest"; fs::exists(latest)) {
    auto step = read_file(latest);
    while (step.ends_with('\n')) step.pop_back();
    out += fmt::format("  latest checkpoint  {}\n", (folder.checkpoints() / step).string());
  }
  const std::vector<std::pair<const char*, fs::path>> kinds{{"adapter", folder.adapter()},
                                                            {"model", folder.model()},
                                                            {"best", folder.best()},
                                                            {"log", folder.log()},
                                                            {"loss curve", folder.loss_picture()}};
  for (const auto& [what, path] : kinds)
    if (fs::exists(path)) out += fmt::format("  {:<17}  {}\n", what, path.string());
  return out;
}

std::string jobs(const RunFolder& folder) {
  const auto record = read_job(folder);
  if (!record) return "";
  auto out = fmt::format("  {}  train, submitted {}Z, {}\n", record->job, record->submitted.substr(0, 19), record->script);
  for (const auto& stage : record->stages) out += fmt::format("  {}  {}, {}\n", stage.job, stage.name, stage.script);
  return out;
}

}  // namespace

std::string runs_table(const std::vector<RunSummary>& runs) {
  std::vector<std::vector<std::string>> rows{{"run", "state", "step", "loss", "held out", "tokens/s", "started (UTC)", "job", ""}};
  for (const auto& run : runs)
    rows.push_back({run.name(), name(run.state), run.step ? with_thousands(*run.step) : "-", loss_text(run.loss),
                    loss_text(run.held_out_loss),
                    run.tokens_per_s && std::isfinite(*run.tokens_per_s) ? with_thousands(std::llround(*run.tokens_per_s)) : "-",
                    or_dash(run.started), or_dash(run.job), in_brief(run.detail)});
  return text_table(rows, "llrrrrlll");
}

std::string runs_json(const std::vector<RunSummary>& runs) {
  auto all = Json::array();
  for (const auto& run : runs)
    all.push_back({{"name", run.name()},
                   {"folder", run.folder.root().string()},
                   {"state", name(run.state)},
                   {"detail", or_null(run.detail)},
                   {"step", or_null(run.step)},
                   {"loss", or_null(run.loss)},
                   {"held_out_loss", or_null(run.held_out_loss)},
                   {"tokens_per_s", or_null(run.tokens_per_s)},
                   {"started", or_null(run.started)},
                   {"job", or_null(run.job)}});
  return all.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string describe_run(const RunSummary& run) {
  const auto& folder = run.folder;
  auto out = fmt::format("{}\n  {}{}\n", folder.root().string(), name(run.state), run.detail.empty() ? "" : ": " + run.detail);
  out += fmt::format("  step {}, loss {}, held-out loss {}, {} tokens/s\n", run.step ? with_thousands(*run.step) : "-", loss_text(run.loss),
                     loss_text(run.held_out_loss), number_text(run.tokens_per_s));
  out += fmt::format("  started {}\n", or_dash(run.started));
  const auto add = [&](const char* title, const std::string& text) {
    if (!text.empty()) out += fmt::format("\n{}\n{}", title, text);
  };
  add("jobs", jobs(folder));
  add("places", places(folder));
  if (fs::exists(folder.config()) || fs::exists(folder.submitted())) add("settings that are not the defaults", changed_settings(folder));
  if (fs::exists(folder.metrics())) add("the last of each number", last_numbers(folder));
  return out;
}

}  // namespace herd
