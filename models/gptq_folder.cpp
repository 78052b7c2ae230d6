#include "models/gptq_folder.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "models/hub_config.h"
#include "runtime/base/file.h"

namespace herd {
namespace {

namespace fs = std::filesystem;

constexpr const char* kKey = "quantization_config";

std::optional<std::int64_t> number(const nlohmann::json& json, const std::string& key, const std::string& who, const std::string& expected, auto fits) {
  if (!json.contains(key) || json[key].is_null()) return std::nullopt;
  if (json[key].is_number_integer() && fits(json[key].get<std::int64_t>())) return json[key].get<std::int64_t>();
  throw ConfigError({.who = who + ": '" + kKey + "." + key + "'", .found = json[key].dump().substr(0, 60), .expected = expected, .remedy = ""});
}

std::string text(const nlohmann::json& json, const std::string& key, const std::string& fallback) {
  return json.contains(key) && json[key].is_string() ? json[key].get<std::string>() : fallback;
}

std::string lower(std::string name) {
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return name;
}

}  // namespace

std::optional<GptqConfig> read_gptq_config(const nlohmann::json& config, const std::string& who) {
  if (!config.contains(kKey) || config[kKey].is_null()) return std::nullopt;
  const auto& json = config[kKey];
  const auto refuse = [&](const std::string& found, const std::string& expected) {
    throw ConfigError({.who = who + ": '" + kKey + "'", .found = found, .expected = expected, .remedy = "take the model's unquantised folder"});
  };
  if (!json.is_object()) refuse(json.dump().substr(0, 60), "an object with quant_method gptq");
  if (const auto method = text(json, "quant_method", "no quant_method"); method != "gptq") refuse(method, "gptq, the one quantised form of folders that herd reads");
  GptqConfig found;
  found.bits = number(json, "bits", who, "2, 3, 4 or 8", [](auto n) { return n == 2 || n == 3 || n == 4 || n == 8; });
  found.group_size = number(json, "group_size", who, "at least 1, or -1", [](auto n) { return n >= 1 || n == -1; });
  const auto format = text(json, "checkpoint_format", "gptq");
  if (format != "gptq" && format != "gptq_v2") refuse("checkpoint_format " + format, "gptq or gptq_v2");
  found.zeros_less_one = format == "gptq";
  return found;
}

nlohmann::json with_quantize_config(nlohmann::json config, const fs::path& folder) {
  const auto file = folder / "quantize_config.json";
  if (config.contains(kKey) || !fs::exists(file)) return config;
  auto json = parse_hub_json(read_file(file), file.string(), "AutoGPTQ's settings");
  if (!json.contains("quant_method")) json["quant_method"] = "gptq";
  config[kKey] = std::move(json);
  return config;
}

std::optional<std::string> gptq_file_among(const std::vector<std::string>& names) {
  for (const auto* format : {".safetensors", ".pt", ".bin"}) {
    std::vector<std::string> found;
    for (const auto& name : names) {
      const auto small = lower(name);
      if (small.ends_with(format) && (small.find("bit") != std::string::npos || small.find("gptq") != std::string::npos)) found.push_back(name);
    }
    if (found.size() == 1) return found.front();
    if (!found.empty()) return std::nullopt;
  }
  return std::nullopt;
}

std::optional<fs::path> gptq_file_in(const fs::path& folder) {
  if (!fs::is_directory(folder)) return std::nullopt;
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.is_regular_file()) names.push_back(entry.path().filename().string());
  const auto name = gptq_file_among(names);
  return name ? std::optional(folder / *name) : std::nullopt;
}

QuantOptions as_options(const GptqConfig& config) { return {.method = "gptq", .bits = config.bits, .group_size = config.group_size}; }

void check_storage(const QuantOptions& asked, const GptqConfig& config, const std::string& who) {
  const auto differ = [](const auto& wish, const auto& is) { return wish && is && *wish != *is; };
  const bool agree = asked.method == "gptq" && !differ(asked.bits, config.bits) && !differ(asked.group_size, config.group_size) && !asked.head &&
                     asked.skip_modules.empty();
  if (agree) return;
  throw ConfigError({.who = "model.quantization",
                     .found = describe_quantisation(asked) + (asked.method == "gptq" && asked.head ? ", the head too" : "") +
                              (asked.skip_modules.empty() ? "" : ", without skip_modules"),
                     .expected = "nothing: " + who + " is quantised already (" + describe_quantisation(as_options(config)) + ")",
                     .remedy = "model.quantization=null, or the model's unquantised folder"});
}

}  // namespace herd
