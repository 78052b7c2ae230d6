#include "models/hub.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "models/hub_config.h"
#include "models/meta_folder.h"
#include "models/registry.h"
#include "runtime/base/file.h"
#include "runtime/base/text.h"
#include "runtime/tensor/dtype.h"

namespace herd {
namespace {

namespace fs = std::filesystem;

nlohmann::json parse_config(const std::string& text, const std::string& where) {
  return parse_hub_json(text, where, "a Hugging Face model's config");
}

bool is_ignored(const Family& family, const std::string& name) {
  return std::any_of(family.ignored.begin(), family.ignored.end(), [&](const std::string& suffix) { return name.ends_with(suffix); });
}

// The name of the embedding matrix, where the head shares it.
std::string tied_matrix(CausalLm& model) {
  std::string name;
  struct First final : Visitor {
    explicit First(std::string& to) : name(to) {}
    void on_parameter(const std::string& found, Parameter&) override {
      if (name.empty()) name = found;
    }
    std::string& name;
  } first(name);
  if (model.facts.tied) model.visit_embedding(first);
  return name;
}

void list(std::string& text, const char* title, const std::vector<std::string>& items) {
  constexpr std::size_t kListed = 20;
  if (items.empty()) return;
  text += std::string(text.empty() ? "" : "\n  ") + std::to_string(items.size()) + " " + title + ": ";
  text += join(std::span(items).first(std::min(items.size(), kListed)));
  if (items.size() > kListed) text += ", … (" + std::to_string(items.size() - kListed) + " more)";
}

}  // namespace

std::string stored_name(const CausalLm& model, const Weights& weights, const std::string& name) {
  const auto prefix = model.block_name(0).substr(0, model.block_name(0).find('.') + 1);
  const auto rest = name.starts_with(prefix) ? name.substr(prefix.size()) : name;
  return weights.contains(name) || !weights.contains(rest) ? name : rest;
}

HubMatch match(CausalLm& model, const Weights& weights) {
  const auto& family = families().at(model.facts.family);
  const auto tied = tied_matrix(model);
  HubMatch match;
  std::set<std::string> taken;
  for_each_parameter(model, [&](const std::string& name, Parameter& p) {
    auto stored = stored_name(model, weights, name);
    if (name == tied) {
      if (!weights.contains(stored)) stored = family.tied_head;
      taken.insert(family.tied_head);
    }
    taken.insert(stored);
    if (!weights.contains(stored)) {
      match.missing.push_back(name);
      return;
    }
    const auto& shape = weights.info(stored).shape;
    if (p.value.sizes() != at::IntArrayRef(shape))
      match.misshapen.push_back(stored + " " + shape_text(shape) + ", not " + shape_text(p.value.sizes()));
    match.places.emplace_back(&p, stored);
  });
  for (const auto& name : weights.names())
    if (!taken.contains(name)) (is_ignored(family, name) ? match.ignored : match.unexpected).push_back(name);
  return match;
}

std::string HubMatch::problems() const {
  std::string text;
  list(text, "missing", missing);
  list(text, "unexpected", unexpected);
  list(text, "misshapen", misshapen);
  return text;
}

namespace {

void complain(const HubMatch& match, const CausalLm& model, const std::string& where) {
  Complaint complaint{.who = where, .found = match.problems()};
  if (complaint.found.empty()) return;
  complaint.expected = "the tensors that its config.json describes (" + model.facts.family + ")";
  const auto& head = families().at(model.facts.family).tied_head;
  if (std::find(match.missing.begin(), match.missing.end(), head) != match.missing.end())
    complaint.remedy = "where the head is the embedding matrix, config.json says \"tie_word_embeddings\": true";
  if (match.missing.empty() && match.unexpected.empty()) throw ShapeError(complaint);
  throw IoError(complaint);
}

// Of a tensor's bytes, what the fingerprint looks at. Of a tensor that is made of others no more is made than that.
std::string sample(const Weights& weights, const std::string& name) {
  constexpr std::int64_t kPiece = 4096, kPieces = 16;
  const auto& info = weights.info(name);
  const auto bytes = static_cast<std::int64_t>(info.bytes), width = static_cast<std::int64_t>(c10::elementSize(info.dtype));
  std::string sampled;
  const auto add = [&](std::int64_t begin, std::int64_t end) {
    const auto first = begin / width, last = (end + width - 1) / width;
    const auto piece = at::empty({last - first}, at::TensorOptions(info.dtype));
    weights.read(name, first, piece);
    sampled.append(static_cast<const char*>(piece.const_data_ptr()) + (begin - first * width), static_cast<std::size_t>(end - begin));
  };
  if (bytes <= kPiece * kPieces) {
    add(0, bytes);
  } else {
    for (std::int64_t i = 0; i < kPieces; ++i) add((bytes - kPiece) * i / (kPieces - 1), (bytes - kPiece) * i / (kPieces - 1) + kPiece);
  }
  return sampled;
}

// Keyed by the names that the parameters have now: a method may rename those it trains.
ReadParameter random_values(CausalLm& model, std::uint64_t seed) {
  std::map<const Parameter*, std::string> names;
  for_each_parameter(model, [&](const std::string& name, Parameter& p) { names[&p] = name; });
  return [names = std::move(names), seed, std_dev = model.facts.init_std](const Parameter& p, std::int64_t begin, const Tensor& out) {
    auto whole = p;
    whole.name = names.at(&p);
    materialise(whole, out.scalar_type());
    initialise(whole, seed, std_dev);
    out.copy_(whole.value.view(-1).narrow(0, begin, out.numel()));
  };
}

}  // namespace

at::ScalarType scalar_type(Precision precision) {
  switch (precision) {
    case Precision::kBf16: return at::kBFloat16;
    case Precision::kFp16: return at::kHalf;
    case Precision::kFp32: break;
  }
  return at::kFloat;
}

std::string read_hub_config(const fs::path& folder, const std::string& family) {
  const auto file = folder / "config.json";
  if (!fs::exists(file) && is_meta_folder(folder)) return meta_config(folder).dump(2);
  if (!fs::exists(file))
    throw IoError({.who = folder.string(),
                   .found = fs::is_directory(folder) ? "no config.json" : "no such folder",
                   .expected = "a Hugging Face model folder: config.json, safetensors, tokenizer",
                   .remedy = fs::exists(folder / "adapter_config.json") ? "this is an adapter: give its base model here, the folder as the adapter"
                                                                        : ""});
  auto json = parse_config(read_file(file), file.string());
  json = with_quantize_config(std::move(json), folder);
  read_gptq_config(json, file.string());
  if (family == "auto") return json.dump(2);
  const auto refuse = [&] {
    throw ConfigError({.who = file.string(),
                       .found = "a model of family " + family_of(json),
                       .expected = "'" + family + "', as model.family says",
                       .remedy = "leave model.family on auto"});
  };
  const auto told = json.contains("model_type") && json["model_type"].is_string() ? json["model_type"].get<std::string>() : "";
  if (families().find(told) && families().at(family_of(json)).make != families().at(family).make) refuse();
  const auto& type = families().at(family).model_type;
  json["model_type"] = type.empty() ? family : type;
  if (family_of(json) != family) refuse();
  return json.dump(2);
}

std::unique_ptr<CausalLm> make_model_from(const std::string& config) { return make_model(parse_config(config, "config.json")); }

Weights open_hub_weights(const fs::path& folder) {
  if (has_weights(folder)) return open_weights(folder);
  if (is_meta_folder(folder)) return open_meta_weights(folder);
  return open_weights(gptq_file_in(folder).value_or(folder));
}

std::string hub_fingerprint(CausalLm& model, const Weights& weights) {
  std::map<std::string, std::string> parts;
  for (const auto& [parameter, stored] : match(model, weights).places) {
    const auto& info = weights.info(stored);
    parts[parameter->name] = shape_text(info.shape) + std::string(dtype_name(info.dtype)) + ":" + fingerprint(sample(weights, stored));
  }
  std::string all = model.facts.family;
  for (const auto& [name, part] : parts) all += "\n" + name + part;
  return fingerprint(all);
}

void check_tied(CausalLm& model, const Weights& weights, const std::string& who) {
  if (!model.facts.tied) return;
  const auto tied = stored_name(model, weights, tied_matrix(model));
  const auto& head = families().at(model.facts.family).tied_head;
  if (!weights.contains(tied) || !weights.contains(head)) return;
  const auto a = weights.view(tied), b = weights.view(head);
  const bool same_format = a.scalar_type() == b.scalar_type();
  if (a.sizes() == b.sizes() && (same_format ? at::equal(a, b) : at::equal(a.to(at::kDouble), b.to(at::kDouble)))) return;
  throw IoError({.who = who,
                 .found = "a " + head + " that differs from " + tied,
                 .expected = "one matrix, as config.json ties them",
                 .remedy = "set \"tie_word_embeddings\": false in config.json if the head was trained on its own"});
}

std::int64_t check_vocabulary(const ModelFacts& facts, std::int64_t tokens, const std::string& who) {
  constexpr std::int64_t kPadding = 128, kPart = 20;  // rows are rounded up to 64 or 128; the fullest real reserve is 2 to 3 %
  const auto spare = facts.vocab_size - tokens;
  if (spare >= 0 && spare <= std::max(kPadding - 1, facts.vocab_size / kPart)) return spare;
  throw ConfigError({.who = who,
                     .found = std::to_string(tokens) + " tokens",
                     .expected = "those of the model, whose embedding has " + std::to_string(facts.vocab_size) + " rows",
                     .remedy = "take the tokenizer of the model's own folder"});
}

LoadedModel open_stored_model(const std::string& config, const std::shared_ptr<const Weights>& files, at::ScalarType dtype, const std::string& who) {
  LoadedModel opened;
  opened.config = config;
  opened.model = make_model_from(opened.config);
  set_dtype(*opened.model, dtype);
  const auto weights = keep_as_stored(*opened.model, config, files, who, opened.gptq);
  const auto matched = match(*opened.model, *weights);
  complain(matched, *opened.model, who);
  check_tied(*opened.model, *weights, who);
  opened.fingerprint = hub_fingerprint(*opened.model, *weights);
  const std::map<const Parameter*, std::string> stored(matched.places.begin(), matched.places.end());
  opened.read = [weights, stored](const Parameter& p, std::int64_t begin, const Tensor& out) {
    weights->read(stored.at(&p), begin, out);
  };
  return opened;
}

LoadedModel open_hub_folder(const fs::path& folder, at::ScalarType dtype, const std::string& family) {
  const auto config = read_hub_config(folder, family);
  return open_stored_model(config, std::make_shared<const Weights>(open_hub_weights(folder)), dtype, folder.string());
}

namespace {

LoadedModel open_dense(const ModelOptions& options, std::int64_t tokens) {
  if (!options.path.empty()) return open_hub_folder(options.path, scalar_type(options.dtype), options.family);
  LoadedModel opened;
  const auto dtype = scalar_type(options.dtype);
  opened.config = hub_config(options, tokens).dump(2);
  opened.model = make_model_from(opened.config);
  set_dtype(*opened.model, dtype);
  opened.read = random_values(*opened.model, static_cast<std::uint64_t>(options.seed));
  opened.fingerprint = fingerprint(opened.config + "\nseed " + std::to_string(options.seed) + "\ndtype " + std::string(dtype_name(dtype)));
  return opened;
}

}  // namespace

LoadedModel open_model(const ModelOptions& options, std::int64_t tokens) {
  auto opened = open_dense(options, tokens);
  keep_as_asked(opened, options.quantization, options.path);
  return opened;
}

LoadedModel describe_model(const ModelOptions& options, std::int64_t tokens) {
  const fs::path folder = options.path;
  if (folder.empty() || has_weights(folder) || is_meta_folder(folder) || gptq_file_in(folder)) return open_model(options, tokens);
  LoadedModel described;
  described.config = read_hub_config(folder, options.family);
  described.model = make_model_from(described.config);
  set_dtype(*described.model, scalar_type(options.dtype));
  keep_as_told(*described.model, described.config, options.quantization, options.path);
  return described;
}

LoadedModel load_hub_folder(const fs::path& folder, at::ScalarType dtype, const std::string& family, const std::optional<QuantOptions>& quantization) {
  auto loaded = open_hub_folder(folder, dtype, family);
  keep_as_asked(loaded, quantization, folder.string());
  fill(*loaded.model, loaded.read);
  loaded.read = nullptr;
  return loaded;
}

}  // namespace herd
