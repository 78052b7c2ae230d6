#include "runtime/report/metrics.h"

#include <cmath>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>

#include "runtime/base/process.h"

namespace herd {
namespace {

using Json = nlohmann::ordered_json;
constexpr const char* kNonfinite = "nonfinite";

const char* name_of_nonfinite(double value) { return std::isnan(value) ? "nan" : value > 0 ? "inf" : "-inf"; }

double nonfinite(const std::string& name) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  return name == "inf" ? kInfinity : name == "-inf" ? -kInfinity : std::numeric_limits<double>::quiet_NaN();
}

std::string to_text(std::int64_t step, const Scalars& values) {
  Json line{{"step", step}, {"time", unix_time_s()}}, odd = Json::object();
  for (const auto& [name, value] : values) {
    line[name] = value;  // written as null where JSON has no number for it
    if (!std::isfinite(value)) odd[name] = name_of_nonfinite(value);
  }
  if (!odd.empty()) line[kNonfinite] = odd;
  return line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

MetricsLine from_text(std::string_view text) {
  const auto json = Json::parse(text);
  MetricsLine line{.step = json.at("step").get<std::int64_t>(), .time_s = json.at("time").get<double>(), .values = {}};
  for (const auto& [name, value] : json.items()) {
    if (name == "step" || name == "time" || name == kNonfinite) continue;
    line.values.emplace_back(name, value.is_null() ? nonfinite(json.at(kNonfinite).at(name).get<std::string>()) : value.get<double>());
  }
  return line;
}

void for_each_line(const std::filesystem::path& path, const std::function<void(std::string_view, const MetricsLine&)>& take) {
  const auto bytes = read_file(path);
  std::size_t number = 1;
  for (std::size_t begin = 0, end; (end = bytes.find('\n', begin)) != std::string::npos; begin = end + 1, ++number) {
    const auto text = std::string_view(bytes).substr(begin, end - begin);
    MetricsLine line;
    try {
      line = from_text(text);
    } catch (const Json::exception& error) {
      throw DataError({.who = path.string() + ":" + std::to_string(number),
                       .found = error.what(),
                       .expected = "a line of metrics with step, time and numbers",
                       .remedy = "remove the line, or move the file away"});
    }
    take(text, line);
  }
}

File reopen(const std::filesystem::path& path, std::optional<std::int64_t> resumed_step) {
  std::string kept;
  if (resumed_step && std::filesystem::exists(path))
    for_each_line(path, [&](std::string_view text, const MetricsLine& line) {
      if (line.step <= *resumed_step) kept.append(text).append("\n");
    });
  write_file_atomically(path, kept);
  return File(path, File::Mode::append);
}

}  // namespace

std::optional<double> MetricsLine::get(std::string_view name) const {
  for (const auto& [key, value] : values)
    if (key == name) return value;
  return std::nullopt;
}

MetricsWriter::MetricsWriter(const std::filesystem::path& path, std::optional<std::int64_t> resumed_step)
    : file_(reopen(path, resumed_step)) {}

void MetricsWriter::write(std::int64_t step, const Scalars& values) { file_.write(to_text(step, values)); }

std::vector<MetricsLine> read_metrics(const std::filesystem::path& path) {
  std::vector<MetricsLine> lines;
  for_each_line(path, [&](std::string_view, const MetricsLine& line) { lines.push_back(line); });
  return lines;
}

}  // namespace herd
