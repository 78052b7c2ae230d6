#include "sweep/report.h"

#include <fmt/format.h>

#include <cmath>

#include "runtime/base/text.h"
#include "runtime/report/html_page.h"
#include "runtime/report/progress.h"
#include "runtime/report/run_folder.h"

namespace herd::sweep {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostCurves = 60, kMostRows = 2000;

constexpr std::string_view kStyle = R"css(
th{cursor:pointer}th[aria-sort=ascending]::after{content:" ▴"}th[aria-sort=descending]::after{content:" ▾"}
.wide{grid-template-columns:1fr}td.text,th.text{text-align:left}
)css";

// A click on a head sorts by it, numbers by their size; empty cells stay last.
constexpr std::string_view kScript = R"js(<script>
for(const head of document.querySelectorAll("th"))head.onclick=()=>{
const body=head.closest("table").tBodies[0],column=head.cellIndex,down=head.ariaSort==="ascending";
for(const other of head.parentNode.cells)other.removeAttribute("aria-sort");
head.ariaSort=down?"descending":"ascending";
const key=row=>row.cells[column].dataset.sort??row.cells[column].textContent;
const compare=(a,b)=>{const x=key(a),y=key(b);if(x===""||y==="")return(x==="")-(y==="");
const order=isNaN(x)||isNaN(y)?x.localeCompare(y):x-y;return down?-order:order};
body.append(...[...body.rows].sort(compare))}
</script>)js";

std::string cell(const std::string& text, const std::string& sort = {}, bool words = false) {
  return fmt::format("<td{}{}>{}</td>", words ? " class=\"text\"" : "", sort.empty() ? "" : " data-sort=\"" + sort + "\"", escaped(text));
}

std::string table(const Plan& plan, const std::vector<Row>& rows, const std::vector<Standing>& standings, const SweepOptions& options) {
  const auto keys = plan.keys();
  auto out = "<div class=\"card scroll\"><table><thead><tr><th>rank</th><th>" + escaped(options.metric) + "</th>";
  if (options.repeats > 1) out += "<th>sd</th>";
  for (const auto& key : keys) out += fmt::format("<th title=\"{}\">{}</th>", escaped(key), escaped(short_key(key, keys)));
  out += "<th class=\"text\">state</th><th>step</th><th>time</th><th class=\"text\">points</th></tr></thead>\n<tbody>";
  for (std::size_t i = 0; i < std::min(rows.size(), kMostRows); ++i) {
    const auto& row = rows[i];
    out += "<tr>" + cell(row.rank ? std::to_string(row.rank) : "") + cell(row.mean ? fmt::format("{:.4f}", *row.mean) : "", row.mean ? fmt::format("{}", *row.mean) : "");
    if (options.repeats > 1) out += cell(row.sd ? fmt::format("{:.4f}", *row.sd) : "");
    for (const auto& key : keys) out += cell(cell_of(plan.settings()[row.setting], key));
    std::vector<std::string> ids;
    std::string why;
    for (const auto point : row.points) {
      ids.push_back(plan.points()[point].id);
      if (why.empty()) why = standings[point].error;
    }
    out += fmt::format("<td class=\"text\" title=\"{}\">{}</td>", escaped(why), escaped(row.state));
    out += cell(row.mean ? std::to_string(row.step) : "") + cell(row.seconds > 0 ? human_time(row.seconds) : "", fmt::format("{:.0f}", row.seconds)) + cell(join(ids, " "), "", true) + "</tr>\n";
  }
  out += "</tbody></table></div>\n";
  if (rows.size() > kMostRows) out += fmt::format("<p class=\"faint\">The first {} of {}; results.csv has all.</p>", kMostRows, plural(std::ssize(rows), "row"));
  return out;
}

std::string failures(const Plan& plan, const std::vector<Standing>& standings) {
  constexpr std::size_t kMost = 50;
  std::string out;
  std::size_t told = 0;
  for (std::size_t i = 0; i < standings.size() && told < kMost; ++i) {
    if (standings[i].error.empty()) continue;
    ++told;
    out += fmt::format("<div class=\"card\"><h3>{} <span class=\"faint\">{} · {}</span></h3><pre>{}</pre></div>\n", escaped(plan.title(plan.points()[i])), name(standings[i].state),
                       plan.points()[i].id, escaped(standings[i].error));
  }
  return out.empty() ? "" : "<h2>What went wrong</h2><div class=\"cards wide\">" + out + "</div>";
}

std::string numbers(const Plan& plan, const std::vector<Standing>& standings, const std::vector<Row>& rows, const SweepOptions& options) {
  const auto number = [](const std::string& value, const std::string& what) { return fmt::format("<div class=\"card\"><b>{}</b>{}</div>", escaped(value), escaped(what)); };
  auto out = "<div class=\"cards numbers\">" + number(with_thousands(std::ssize(plan.points())), "points");
  double seconds = 0;
  for (const auto& standing : standings) seconds += standing.seconds;
  for (const auto state : {State::kFinished, State::kStopped, State::kDiverged, State::kFailed, State::kPreempted, State::kRunning, State::kWaiting}) {
    const auto count = std::count_if(standings.begin(), standings.end(), [&](const Standing& s) { return s.state == state; });
    if (count > 0) out += number(with_thousands(count), state == State::kStopped ? "stopped at a rung" : name(state));
  }
  if (!rows.empty() && rows.front().mean) out += number(fmt::format("{:.4f}", *rows.front().mean), "best " + options.metric);
  return out + number(human_time(seconds), "of all runs together") + "</div>\n";
}

std::vector<LearningCurve> curves_of(const Plan& plan, const Ledger& ledger, const std::vector<Row>& rows, const SweepOptions& options) {
  std::vector<LearningCurve> curves;
  for (const auto& row : rows) {
    if (row.rank == 0) break;
    for (const auto point : row.points) {
      if (curves.size() == kMostCurves) return curves;
      LearningCurve curve{.points = {}, .rank = row.rank};
      const auto file = RunFolder(ledger.run(plan.points()[point].id)).metrics();
      if (!fs::exists(file)) continue;
      for (const auto& line : read_metrics(file))
        if (const auto value = line.get(options.metric); value && std::isfinite(*value)) curve.points.push_back({static_cast<double>(line.step), *value});
      curves.push_back(std::move(curve));
    }
  }
  return curves;
}

std::vector<std::pair<std::string, Picture>> pictures_of(const Plan& plan, const Ledger& ledger, const std::vector<Row>& rows, const SweepOptions& options) {
  std::vector<std::pair<std::string, Picture>> pictures;
  pictures.emplace_back("parallel", parallel_coordinates(plan, rows, options));
  pictures.emplace_back("curves", learning_curves(curves_of(plan, ledger, rows, options), options));
  for (const auto& key : plan.keys()) pictures.emplace_back(key, metric_against(key, plan, rows, options));
  return pictures;
}

}  // namespace

std::string report_page(const SweepFile& sweep, const Plan& plan, const std::vector<Row>& rows, const std::vector<Standing>& standings,
                        const std::vector<std::pair<std::string, Picture>>& pictures) {
  const auto title = "Sweep " + fs::path(sweep.options.folder).filename().string();
  auto out = "<h1>" + escaped(title) + "</h1><p class=\"faint\">" + escaped(sweep.file.string() + " over " + sweep.options.recipe) + "</p>\n";
  out += numbers(plan, standings, rows, sweep.options);
  if (!rows.empty() && rows.front().rank == 1)
    out += "<p>The best: " + escaped(plan.title(plan.points()[rows.front().points.front()])) + ". best/config.yaml is its recipe. In the pictures it is marked, and the best quarter is in colour.</p>\n";
  out += "<h2>Table</h2>" + table(plan, rows, standings, sweep.options) + "<h2>Pictures</h2>\n";
  for (const auto wide : {true, false}) {
    out += wide ? "<div class=\"cards wide\">" : "<div class=\"cards pictures\" style=\"margin-top:12px\">";
    for (std::size_t i = 0; i < pictures.size(); ++i)
      if ((i < 2) == wide) out += fmt::format("<div class=\"card\" id=\"{}\">{}</div>\n", escaped(pictures[i].first), pictures[i].second.svg(false));
    out += "</div>\n";
  }
  return html_page(title, out + failures(plan, standings) + std::string(kScript), kStyle);
}

void Reporter::write(const std::vector<Standing>& standings) {
  const auto began = Clock::now();
  const auto& options = sweep_.options;
  const auto rows = rows_of(plan_, standings, options);
  const auto pictures = pictures_of(plan_, ledger_, rows, options);
  make_folder(ledger_.root() / "pictures");
  write_file_atomically(ledger_.root() / "results.csv", to_csv(plan_, rows, options));
  write_file_atomically(ledger_.root() / "results.md", to_markdown(plan_, rows, options));
  write_file_atomically(ledger_.root() / "report.html", report_page(sweep_, plan_, rows, standings, pictures));
  for (const auto& [name, picture] : pictures) write_file_atomically(ledger_.root() / "pictures" / (name + ".png"), picture.png());
  if (!rows.empty() && rows.front().rank == 1) {
    const auto folder = ledger_.root() / "best";
    make_folder(folder);
    write_file_atomically(folder / "config.yaml", to_yaml(plan_.config(plan_.points()[rows.front().points.front()], folder), true));
  }
  written_ = Clock::now();
  took_ = written_ - began;
}

void Reporter::write_now_and_then(const std::vector<Standing>& standings) {
  if (Clock::now() - written_ >= 10 * took_) write(standings);
}

}  // namespace herd::sweep
