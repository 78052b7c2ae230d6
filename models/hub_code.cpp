#include "models/hub_code.h"

#include <algorithm>

#include "runtime/base/file.h"

namespace herd {
namespace {

namespace fs = std::filesystem;

bool names_code(const nlohmann::json& config) { return config.is_object() && config.contains("auto_map"); }

/// Whether an entry's classes, one or a list with nulls, are of files that are there, or of another repository.
bool is_there(const nlohmann::ordered_json& entry, const std::vector<fs::path>& files) {
  if (entry.is_array()) return std::all_of(entry.begin(), entry.end(), [&](const auto& item) { return is_there(item, files); });
  if (!entry.is_string()) return true;
  const auto text = entry.get<std::string>();
  const auto file = text.substr(0, text.rfind('.')) + ".py";
  return text.find("--") != std::string::npos ||
         std::any_of(files.begin(), files.end(), [&](const fs::path& path) { return path.filename() == file; });
}

}  // namespace

std::vector<fs::path> code_files(const fs::path& folder, const nlohmann::json& config) {
  const auto of_tokenizer = folder / "tokenizer_config.json";
  if (!names_code(config) && !(fs::exists(of_tokenizer) && names_code(nlohmann::json::parse(read_file(of_tokenizer), nullptr, false))))
    return {};
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.is_regular_file() && entry.path().extension() == ".py") files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

void drop_code_not_among(const std::vector<fs::path>& files, nlohmann::ordered_json& config) {
  const auto map = config.find("auto_map");
  if (map == config.end() || !map->is_object()) return;
  nlohmann::ordered_json kept = nlohmann::ordered_json::object();
  for (const auto& [name, entry] : map->items())
    if (is_there(entry, files)) kept[name] = entry;
  if (kept.empty()) config.erase("auto_map");
  else *map = kept;
}

}  // namespace herd
