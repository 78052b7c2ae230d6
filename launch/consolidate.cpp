#include "launch/consolidate.h"

#include "launch/hub_places.h"
#include "launch/run_model.h"
#include "parallel/checkpoint/folder.h"
#include "parallel/checkpoint/rank_file.h"
#include "peft/lora_start.h"
#include "peft/registry.h"
#include "peft/start.h"
#include "runtime/base/new_folder.h"
#include "runtime/tensor/dtype.h"
#include "train/state.h"

namespace herd {
namespace {

namespace fs = std::filesystem;

RunConfig config_of(const Manifest& manifest, const fs::path& checkpoint) {
  RunConfig config;
  Schema schema;
  describe(schema, config);
  schema.load(parse_yaml(manifest.config, Origin{.source = (checkpoint / kManifestName).string() + ", config"}));
  return config;
}

// "alpaca 0123…": a name and a fingerprint, as the run's fingerprints join them; and "91ab… as nf4 in blocks of 64".
Provenance provenance_of(const Fingerprints& stored, const std::optional<QuantOptions>& quantization) {
  const auto get = [&](const char* name) {
    const auto at = stored.find(name);
    return at == stored.end() ? std::string() : at->second;
  };
  const auto text = get("template");
  const auto space = text.rfind(' ');
  const auto base = get("base model");
  return {.template_name = text.substr(0, space),
          .template_fingerprint = space == std::string::npos ? "" : text.substr(space + 1),
          .tokenizer_fingerprint = get("tokenizer"),
          .base_fingerprint = base.substr(0, base.find(' ')),
          .base_quantization = quantization ? quantisation_text(*quantization) : ""};
}

void move_base(RunConfig& config, const fs::path& base) {
  if (base.empty()) return;
  if (config.model.config) {
    config.model.tokenizer = base;
    return;
  }
  config.model.path = base;
  if (!fs::exists(config.model.tokenizer)) config.model.tokenizer.clear();
}

void fetch_base(RunConfig& config) {
  config.model.path = hub_folder(config.model.path, HubUse::kModel, "the run's model.path");
  config.model.tokenizer = hub_folder(config.model.tokenizer, HubUse::kTokenizer, "the run's model.tokenizer");
}

// All that writing a result asks for, without the data set and without memory for the base model.
RunParts parts_without_memory(const RunConfig& config, const Manifest& manifest) {
  RunParts parts;
  parts.vocabulary = load_vocabulary(config.model);
  parts.base = describe_run_model(config.model, parts.vocabulary);
  PeftStart start{.read = parts.base.read};
  if (begins_from_base(config.peft)) start.seed = static_cast<std::uint64_t>(config.model.seed);  // its start is a part of the result
  parts.peft = attach(parts.model(), config.peft, start);
  parts.provenance = provenance_of(manifest.fingerprints, config.model.quantization);
  return parts;
}

// The base's values, some MiB at a time.
void pass_on(const Parameter& parameter, const ReadParameter& base, const TakePiece& take) {
  if (!base)
    throw IoError({.who = parameter.name, .found = "no values: it was not trained, and the base model's folder has no weights",
                   .expected = "the base that the run began from", .remedy = "--base FOLDER"});
  constexpr std::int64_t kPiece = 1 << 22;
  for (std::int64_t begin = 0; begin < parameter.value.numel(); begin += kPiece) {
    const auto piece = at::empty({std::min(kPiece, parameter.value.numel() - begin)}, at::TensorOptions(parameter.value.scalar_type()));
    base(parameter, begin, piece);
    take(piece);
  }
}

}  // namespace

ParameterValues values_in(const fs::path& checkpoint, const ReadParameter& base) {
  return [checkpoint, base, manifest = read_manifest(checkpoint)](const Parameter& parameter, const TakePiece& take) {
    if (!parameter.trainable) return pass_on(parameter, base, take);
    const auto stored = std::find_if(manifest.tensors.begin(), manifest.tensors.end(),
                                     [&](const StoredTensor& t) { return t.state == "value" && t.name == parameter.name; });
    if (stored == manifest.tensors.end() || parameter.value.sizes() != at::IntArrayRef(stored->shape))
      throw IoError({.who = checkpoint.string(),
                     .found = stored == manifest.tensors.end() ? "no value of " + parameter.name : stored->title() + " " + shape_text(stored->shape),
                     .expected = "one " + shape_text(parameter.value.sizes()),
                     .remedy = "is this the base model that it was trained on?"});
    const auto dtype = parameter.value.scalar_type();
    read_pieces(checkpoint, manifest, *stored, [&](const Tensor& piece) { take(piece.to(dtype)); });
  };
}

ConsolidateReport consolidate(const ConsolidateRequest& request) {
  const auto checkpoint = resolve_checkpoint(request.checkpoint);
  const auto manifest = read_manifest(checkpoint);
  check_sizes(checkpoint, manifest);
  const NewFolder staging(request.output, NewFolder::Place::kFree);
  auto config = config_of(manifest, checkpoint);
  move_base(config, request.base);
  fetch_base(config);
  const auto parts = parts_without_memory(config, manifest);
  compare_fingerprints(manifest.fingerprints,
                       {{"base model", base_identity(parts.base.fingerprint, config.model.quantization)}, {"tokenizer", parts.vocabulary.tokenizer->fingerprint}},
                       checkpoint);
  write_result(parts, config, staging.path(), rule_in_json(manifest.state),
               values_in(checkpoint, parts.base.read));
  staging.commit();
  return {.step = manifest.step, .adapter = makes_adapter(parts)};
}

}  // namespace herd
