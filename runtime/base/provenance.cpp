#include "runtime/base/provenance.h"

#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "runtime/base/file.h"

namespace herd {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::pair<const char*, std::string Provenance::*>, 6> kKeys{{
    {"template", &Provenance::template_name},
    {"template_fingerprint", &Provenance::template_fingerprint},
    {"template_text", &Provenance::template_text},
    {"tokenizer_fingerprint", &Provenance::tokenizer_fingerprint},
    {"base_fingerprint", &Provenance::base_fingerprint},
    {"base_quantization", &Provenance::base_quantization},
}};

}  // namespace

std::optional<Provenance> read_provenance(const fs::path& folder) {
  const auto file = folder / "herd.json";
  if (!fs::exists(file)) return std::nullopt;
  const auto json = nlohmann::json::parse(read_file(file), nullptr, false);
  if (!json.is_object())
    throw IoError({.who = file.string(),
                   .found = "no JSON object",
                   .expected = "what herd wrote beside these weights",
                   .remedy = "restore the file, or remove it and name the template yourself"});
  Provenance provenance;
  for (const auto& [key, member] : kKeys) {
    if (!json.contains(key)) continue;
    if (!json[key].is_string())
      throw IoError({.who = file.string() + ": '" + key + "'", .found = json[key].dump(), .expected = "a string", .remedy = ""});
    provenance.*member = json[key].get<std::string>();
  }
  return provenance;
}

void write_provenance(const fs::path& folder, const Provenance& provenance) {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  for (const auto& [key, member] : kKeys)
    if (!(provenance.*member).empty()) json[key] = provenance.*member;
  write_file_atomically(folder / "herd.json", json.dump(2) + "\n");
}

}  // namespace herd
