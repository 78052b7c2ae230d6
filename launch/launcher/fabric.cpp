#include "launch/launcher/fabric.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>

#include "runtime/base/registry.h"

namespace herd {
namespace fs = std::filesystem;
namespace {

void need_assignments(const std::string& key, const std::vector<std::string>& list) {
  for (const auto& item : list)
    if (const auto at = item.find('='); at == 0 || at == std::string::npos) throw InvalidSetting(key, "'" + item + "'", "NAME=VALUE");
}

std::vector<fs::path> sorted_entries(const fs::path& folder) {
  std::vector<fs::path> found;
  std::error_code missing;
  for (const auto& entry : fs::directory_iterator(folder, missing)) found.push_back(entry.path());
  std::sort(found.begin(), found.end());
  return found;
}

}  // namespace

void describe(Schema& s, Fabric& o) {
  s.field("summary", o.summary, "what it is, in a line");
  s.field("link_layer", o.link_layer, "link layer of the adapters by which it is known; empty: any machine has it");
  s.field("environment", o.environment, "NAME=VALUE for every rank; what the user has set goes before it");
  s.field("mca", o.mca, "NAME=VALUE for mpirun --mca");
}

void Fabric::validate() const {
  need_assignments("environment", environment);
  need_assignments("mca", mca);
}

fs::path fabrics_folder() {
  const auto* own = std::getenv("HERD_FABRICS");
  return own && *own ? own : HERD_FABRICS_DIR;
}

std::vector<Fabric> read_fabrics(const fs::path& folder) {
  std::vector<Fabric> fabrics;
  for (const auto& file : sorted_entries(folder)) {
    if (file.extension() != ".yaml") continue;
    Fabric fabric;
    load_config(fabric, {.file = file, .overrides = {}});
    fabric.name = file.stem().string();
    fabrics.push_back(fabric);
  }
  if (fabrics.empty())
    throw ConfigError({.who = folder.string(), .found = "no fabric", .expected = "files such as tcp.yaml", .remedy = "HERD_FABRICS names their folder; --fabric none goes without"});
  return fabrics;
}

std::set<std::string> link_layers(const fs::path& adapters) {
  std::set<std::string> found;
  for (const auto& adapter : sorted_entries(adapters))
    for (const auto& port : sorted_entries(adapter / "ports")) {
      std::string layer;
      std::getline(std::ifstream(port / "link_layer"), layer);
      if (!layer.empty()) found.insert(layer);
    }
  return found;
}

Fabric choose_fabric(const std::vector<Fabric>& fabrics, const std::string& name, const std::set<std::string>& present) {
  if (name != "auto") {
    std::vector<std::pair<std::string, Fabric>> rows;
    for (const auto& fabric : fabrics) rows.emplace_back(fabric.name, fabric);
    return Table<Fabric>("fabric", rows).at(name);
  }
  for (const auto& fabric : fabrics)
    if (present.contains(fabric.link_layer)) return fabric;
  const auto plain = std::find_if(fabrics.begin(), fabrics.end(), [](const Fabric& f) { return f.link_layer.empty(); });
  return plain == fabrics.end() ? Fabric{.name = "none", .summary = "", .link_layer = "", .environment = {}, .mca = {}} : *plain;
}

std::pair<std::string, std::string> assignment(const std::string& text) {
  const auto at = text.find('=');
  return {text.substr(0, at), text.substr(at + 1)};
}

}  // namespace herd
