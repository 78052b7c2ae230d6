#include "parallel/checkpoint/manifest.h"

#include <functional>
#include <nlohmann/json.hpp>
#include <numeric>

#include "runtime/base/file.h"
#include "runtime/base/text.h"

namespace herd {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr const char* kFormat = "herd checkpoint";
constexpr const char* kChecksum = "checksum";

[[noreturn]] void broken(const fs::path& path, const std::string& found, const std::string& expected) {
  throw IoError({.who = path.string(),
                 .found = found,
                 .expected = expected,
                 .remedy = "the checkpoint is damaged: restore it, or resume from another"});
}

Json tensor_to_json(const StoredTensor& tensor) {
  Json slices = Json::array();
  for (const auto& s : tensor.slices)
    slices.push_back(
        {{"file", s.file}, {"dataset", s.dataset}, {"offset", s.offset}, {"begin", s.begin}, {"end", s.end}, {kChecksum, s.checksum}});
  return {{"state", tensor.state}, {"name", tensor.name}, {"shape", tensor.shape}, {"dtype", tensor.dtype}, {"slices", std::move(slices)}};
}

StoredTensor tensor_from_json(const Json& json) {
  StoredTensor tensor{json.at("state"), json.at("name"), json.at("shape"), json.at("dtype"), {}};
  for (const auto& s : json.at("slices"))
    tensor.slices.push_back({s.at("file"), s.at("dataset"), s.at("offset"), s.at("begin"), s.at("end"), s.at(kChecksum)});
  return tensor;
}

void check_tiling(const Manifest& manifest, const fs::path& path) {
  for (const auto& tensor : manifest.tensors) {
    std::int64_t reached = 0;
    for (const auto& slice : tensor.slices) {
      if (slice.begin != reached || slice.end <= slice.begin || slice.file >= manifest.files.size())
        broken(path, tensor.title() + ": a slice [" + std::to_string(slice.begin) + ", " + std::to_string(slice.end) + ")",
               "one from element " + std::to_string(reached) + " on");
      reached = slice.end;
    }
    if (reached != tensor.elements())
      broken(path, tensor.title() + ": slices of " + std::to_string(reached) + " elements", std::to_string(tensor.elements()));
  }
}

}  // namespace

std::int64_t StoredTensor::elements() const { return std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>()); }

std::uint64_t Manifest::bytes() const {
  return std::accumulate(files.begin(), files.end(), std::uint64_t{0}, [](auto sum, const auto& file) { return sum + file.bytes; });
}

std::string to_json(const Manifest& m) {
  auto state = Json::parse(m.state, nullptr, false);
  if (!state.is_object())
    throw IoError({.who = "the trainer's state", .found = m.state.substr(0, 80), .expected = "a JSON object", .remedy = ""});
  Json json{{"format", kFormat},
            {"version", Manifest::kVersion},
            {"herd", m.herd},
            {"step", m.step},
            {"time", m.time},
            {"ranks", m.ranks},
            {"incarnation", m.incarnation},
            {"fingerprints", m.fingerprints},
            {"config", m.config},
            {"state", std::move(state)}};
  json["held_out_loss"] = m.held_out_loss ? Json(*m.held_out_loss) : Json();
  for (const auto& file : m.files) json["files"].push_back({{"name", file.name}, {"bytes", file.bytes}, {kChecksum, file.checksum}});
  json["tensors"] = Json::array();
  for (const auto& tensor : m.tensors) json["tensors"].push_back(tensor_to_json(tensor));
  json[kChecksum] = fingerprint(json.dump());
  return json.dump(1) + "\n";
}

Manifest parse_manifest(const std::string& text, const fs::path& path) {
  try {
    auto json = Json::parse(text);
    if (json.at("format") != kFormat) broken(path, "format " + json.at("format").dump(), std::string("\"") + kFormat + "\"");
    // Before the checksum, whose rule a newer format may change.
    if (const int version = json.at("version"); version > Manifest::kVersion)
      throw IoError(
          {.who = path.string(),
           .found = "checkpoint format " + std::to_string(version) + ", written by herd " + json.value("herd", "of an unknown version"),
           .expected = "at most " + std::to_string(Manifest::kVersion),
           .remedy = "use that herd or a newer one"});
    const std::string expected = json.at(kChecksum);
    json.erase(kChecksum);
    if (const auto found = fingerprint(json.dump()); found != expected) broken(path, "checksum " + found, expected);

    Manifest m;
    m.herd = json.at("herd"), m.step = json.at("step"), m.time = json.at("time"), m.ranks = json.at("ranks");
    m.incarnation = json.at("incarnation"), m.fingerprints = json.at("fingerprints"), m.config = json.at("config"),
    m.state = json.at("state").dump();
    if (!json.at("held_out_loss").is_null()) m.held_out_loss = json.at("held_out_loss").get<double>();
    for (const auto& file : json.at("files")) m.files.push_back({file.at("name"), file.at("bytes"), file.at(kChecksum)});
    for (const auto& tensor : json.at("tensors")) m.tensors.push_back(tensor_from_json(tensor));
    check_tiling(m, path);
    return m;
  } catch (const nlohmann::json::exception& error) {
    broken(path, std::string("a broken manifest (") + error.what() + ")", "the JSON that herd wrote");
  }
}

Manifest read_manifest(const fs::path& checkpoint) {
  const auto path = checkpoint / kManifestName;
  if (!fs::is_directory(checkpoint))
    throw IoError({.who = checkpoint.string(), .found = "no such folder", .expected = "a checkpoint", .remedy = ""});
  if (!fs::exists(path)) broken(path, "no such file", "the manifest of a checkpoint");
  return parse_manifest(read_file(path), path);
}

void compare_fingerprints(const Fingerprints& stored, const Fingerprints& run, const fs::path& checkpoint) {
  std::vector<std::string> names, found, expected;
  const auto same = [&](const char* name) {
    const auto a = stored.find(name), b = run.find(name);
    return a != stored.end() && b != run.end() && a->second == b->second;
  };
  for (const auto& [name, ours] : run) {
    const auto entry = stored.find(name);
    const auto theirs = entry == stored.end() ? std::string() : entry->second;
    if (ours.empty() || theirs == ours) continue;
    if (name.starts_with(kDataFile) && (theirs.empty() || same("data"))) continue;  // they tell which file it is, where the data differ
    names.push_back(name);
    found.push_back(name + " " + (theirs.empty() ? "unknown" : theirs));
    expected.push_back(name + " " + ours);
  }
  if (names.empty()) return;
  throw ConfigError(
      {.who = "checkpoint " + checkpoint.string() + " is of another " + join(names, " and another "),
       .found = join(found),
       .expected = join(expected) + " as this run has",
       .remedy = "resume with what the checkpoint was made with (herd checkpoint show " + checkpoint.string() + " prints its config)"});
}

}  // namespace herd
