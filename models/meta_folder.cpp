#include "models/meta_folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "models/hub_config.h"
#include "models/row_map.h"
#include "runtime/base/file.h"
#include "runtime/tensor/dtype.h"
#include "runtime/tensor/torch_file.h"

namespace herd {
namespace {

namespace fs = std::filesystem;

/// Along which dimension a tensor is cut over ranks.
enum class Cut { kNone, kRows, kColumns, kByShape };

struct Name {
  std::string_view meta, hub;
  Cut cut = Cut::kNone;
  bool rotary = false;  ///< its rows are heads whose rotary pairs lie otherwise
};
constexpr std::array kOfLayer{
    Name{"attention.wq.weight", "self_attn.q_proj.weight", Cut::kRows, true},
    Name{"attention.wk.weight", "self_attn.k_proj.weight", Cut::kRows, true},
    Name{"attention.wv.weight", "self_attn.v_proj.weight", Cut::kRows},
    Name{"attention.wo.weight", "self_attn.o_proj.weight", Cut::kColumns},
    Name{"feed_forward.w1.weight", "mlp.gate_proj.weight", Cut::kRows},
    Name{"feed_forward.w2.weight", "mlp.down_proj.weight", Cut::kColumns},
    Name{"feed_forward.w3.weight", "mlp.up_proj.weight", Cut::kRows},
    Name{"attention_norm.weight", "input_layernorm.weight"},
    Name{"ffn_norm.weight", "post_attention_layernorm.weight"},
};
constexpr std::array kOthers{
    Name{"tok_embeddings.weight", "model.embed_tokens.weight", Cut::kByShape},  // LLaMA 1 and 2 cut its columns, 3 its rows
    Name{"norm.weight", "model.norm.weight"},
    Name{"output.weight", "lm_head.weight", Cut::kRows},
};
constexpr std::array<std::string_view, 3> kBuffers{"rope.freqs", "freqs_cis", ".attention.mask"};

/// The other name of a tensor and how it is laid out; nothing for an unknown one.
std::optional<std::pair<std::string, Name>> translate(const std::string& name, std::string_view Name::*from, std::string_view Name::*to,
                                                      const std::string& from_layers, const std::string& to_layers) {
  for (const auto& other : kOthers)
    if (other.*from == name) return std::pair(std::string(other.*to), other);
  if (!name.starts_with(from_layers)) return std::nullopt;
  const auto dot = name.find('.', from_layers.size());
  if (dot == std::string::npos) return std::nullopt;
  for (const auto& part : kOfLayer)
    if (part.*from == std::string_view(name).substr(dot + 1))
      return std::pair(to_layers + name.substr(from_layers.size(), dot + 1 - from_layers.size()) + std::string(part.*to), part);
  return std::nullopt;
}

/// Row r of heads whose pairs are apart (Hugging Face) among heads whose pairs are neighbours (Meta), or the other way.
std::int64_t rotary_row(std::int64_t row, std::int64_t head_dim, bool to_hub) {
  const auto in_head = row % head_dim, half = head_dim / 2;
  return row - in_head + (to_hub ? 2 * (in_head % half) + in_head / half : in_head % 2 * half + in_head / 2);
}

DerivedTensor with_rotary_rows(DerivedTensor source, std::int64_t head_dim, bool to_hub) {
  // A stretch of rows touches whole heads of the source.
  auto info = source.info;
  return {info, [rows = std::move(source.rows), head_dim, to_hub](std::int64_t begin, std::int64_t end) {
            const auto first = begin / head_dim * head_dim, last = (end + head_dim - 1) / head_dim * head_dim;
            auto index = at::empty({end - begin}, at::kLong);
            for (auto r = begin; r < end; ++r) index.data_ptr<std::int64_t>()[r - begin] = rotary_row(r, head_dim, to_hub) - first;
            return rows(first, last).index_select(0, index);
          }};
}

nlohmann::json read_json(const fs::path& path) { return parse_hub_json(read_file(path), path.string(), "Meta's parameters of a model"); }

fs::path shard_path(const fs::path& folder, std::size_t number) { return folder / fmt::format("consolidated.{:02}.pth", number); }

using Shards = std::vector<std::shared_ptr<const Weights>>;

Shards open_shards(const fs::path& folder) {
  std::size_t count = 0;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const auto name = entry.path().filename().string();
    count += name.starts_with("consolidated.") && name.ends_with(".pth");
  }
  Shards shards;
  for (std::size_t i = 0; i < count; ++i) {
    if (!fs::exists(shard_path(folder, i)))
      throw IoError({.who = shard_path(folder, i).string(),
                     .found = "no such file",
                     .expected = "the " + std::to_string(count) + " shards of a model, numbered from 00",
                     .remedy = "download or copy the folder again"});
    shards.push_back(std::make_shared<const Weights>(std::vector<WeightFile>{TorchFile(shard_path(folder, i))}));
  }
  return shards;
}

Cut cut_of(const Name& name, const TensorInfo& info, std::int64_t dim) {
  if (name.cut != Cut::kByShape) return name.cut;
  return info.shape.size() == 2 && info.shape[1] == dim ? Cut::kRows : Cut::kColumns;
}

DerivedTensor join_shards(const Shards& shards, const std::string& name, Cut cut) {
  std::vector<StoredAs> sources;
  for (const auto& shard : shards) sources.push_back({shard, name});
  if (cut == Cut::kRows) return stacked(std::move(sources));
  if (cut == Cut::kColumns) return side_by_side(std::move(sources));
  return renamed(sources.front());
}

/// LLaMA 3.1 and what followed stretch RoPE. By how much their params.json does not tell (use_scaled_rope alone): it goes with the model.
double stretch_of(const HubConfig& params) {
  if (params.has("rope_scaling_factor")) return params.get<double>("rope_scaling_factor");
  struct Known {
    std::int64_t dim, layers;
    double factor;
  };
  constexpr std::array kKnown{Known{2048, 16, 32}, Known{3072, 28, 32},                          // 3.2 1B and 3B
                              Known{4096, 32, 8},  Known{8192, 80, 8},  Known{16384, 126, 8}};  // 3.1 8B, 3.1 and 3.3 70B, 3.1 405B
  const auto dim = params.size("dim"), layers = params.size("n_layers");
  for (const auto& known : kKnown)
    if (known.dim == dim && known.layers == layers) return known.factor;
  throw ConfigError({.who = params.who("use_scaled_rope"),
                     .found = fmt::format("true, of a model of width {} and {} layers", dim, layers),
                     .expected = "a rope_scaling_factor beside it, or a model of LLaMA 3.1's, 3.2's or 3.3's sizes",
                     .remedy = "add \"rope_scaling_factor\" as the model was trained: 8 as LLaMA 3.1, 32 as 3.2 1B and 3B"});
}

}  // namespace

bool is_meta_folder(const fs::path& folder) { return fs::exists(folder / "params.json") && fs::exists(shard_path(folder, 0)); }

Weights open_meta_weights(const fs::path& folder) {
  const auto shards = open_shards(folder);
  const auto json = read_json(folder / "params.json");
  const HubConfig params(json, (folder / "params.json").string());
  const auto dim = params.size("dim"), heads = params.size("n_heads");
  const auto head_dim = dim / heads;
  if (head_dim == 0 || head_dim % 2 != 0 || dim % heads != 0)
    throw ConfigError({.who = params.who("dim"), .found = std::to_string(dim), .expected = "a multiple of n_heads with an even head dim"});
  std::map<std::string, DerivedTensor> derived;
  for (const auto& name : shards.front()->names()) {
    if (std::any_of(kBuffers.begin(), kBuffers.end(), [&](std::string_view buffer) { return name.ends_with(buffer); })) continue;
    const auto known = translate(name, &Name::meta, &Name::hub, "layers.", "model.layers.");
    if (!known) {
      derived.emplace(name, renamed({shards.front(), name}));  // whoever reads the model says that it is not expected
      continue;
    }
    const auto& [hub_name, part] = *known;
    auto whole = join_shards(shards, name, cut_of(part, shards.front()->info(name), dim));
    if (part.rotary && (whole.info.shape.size() != 2 || whole.info.shape[0] % head_dim != 0))
      throw ShapeError({.who = folder.string() + ": tensor '" + name + "'",
                        .found = shape_text(whole.info.shape),
                        .expected = "rows of whole heads of " + std::to_string(head_dim)});
    derived.emplace(hub_name, part.rotary ? with_rotary_rows(std::move(whole), head_dim, true) : std::move(whole));
  }
  return Weights(std::move(derived), folder);
}

nlohmann::json meta_config(const fs::path& folder) {
  const auto weights = open_meta_weights(folder);
  const auto json = read_json(folder / "params.json");
  const HubConfig params(json, (folder / "params.json").string());
  const auto theta = params.get<double>("rope_theta", 10000.0), eps = params.get<double>("norm_eps", 1e-5);
  const bool scaled = params.get<bool>("use_scaled_rope", false);
  // params.json does not say how long a text may be: it is the generations' own.
  const auto context = scaled ? 131072 : theta >= 500000 ? 8192 : eps >= 1e-5 ? 4096 : 2048;
  const auto vocabulary = rows_of(weights.info("model.embed_tokens.weight"));
  const bool third = vocabulary >= 128000;
  nlohmann::json config{{"model_type", "llama"}, {"hidden_act", "silu"}};
  config["hidden_size"] = params.size("dim");
  config["num_hidden_layers"] = params.size("n_layers");
  config["num_attention_heads"] = params.size("n_heads");
  config["num_key_value_heads"] = params.size("n_kv_heads", params.size("n_heads"));
  config["intermediate_size"] = rows_of(weights.info("model.layers.0.mlp.gate_proj.weight"));
  config["vocab_size"] = vocabulary;
  config["max_position_embeddings"] = params.size("max_seq_len", context);
  config["rms_norm_eps"] = eps;
  config["rope_theta"] = theta;
  config["tie_word_embeddings"] = !weights.contains("lm_head.weight");
  config["bos_token_id"] = third ? 128000 : 1;
  config["eos_token_id"] = third ? 128001 : 2;
  if (scaled)
    config["rope_scaling"] = {{"rope_type", "llama3"}, {"factor", stretch_of(params)}, {"low_freq_factor", 1.0},
                              {"high_freq_factor", 4.0}, {"original_max_position_embeddings", 8192}};
  return config;
}

Weights as_meta_weights(std::shared_ptr<const Weights> weights, const nlohmann::json& config) {
  const HubConfig c(config);
  const auto head_dim = c.size("hidden_size") / c.size("num_attention_heads");
  std::map<std::string, DerivedTensor> derived;
  for (const auto& name : weights->names()) {
    const auto known = translate(name, &Name::hub, &Name::meta, "model.layers.", "layers.");
    if (!known)
      throw ConfigError({.who = "tensor '" + name + "'", .found = "no place for it in Meta's format", .expected = "a LLaMA without biases", .remedy = ""});
    auto tensor = renamed({weights, name});
    derived.emplace(known->first, known->second.rotary ? with_rotary_rows(std::move(tensor), head_dim, false) : std::move(tensor));
  }
  if (!derived.contains("output.weight")) derived.emplace("output.weight", renamed({weights, "model.embed_tokens.weight"}));  // tied
  return Weights(std::move(derived), "consolidated.00.pth");
}

nlohmann::json meta_params(const nlohmann::json& given) {
  const auto config = with_rope_scaling(given);
  const HubConfig c(config);
  const auto refuse = [&](const char* key, const std::string& expected) {
    throw ConfigError({.who = c.who(key), .found = config.at(key).dump(), .expected = expected, .remedy = "Meta's format has no word for it; --format hf has"});
  };
  const auto dim = c.size("hidden_size"), heads = c.size("num_attention_heads"), ffn = c.size("intermediate_size");
  if (c.get<std::string>("model_type") != "llama") refuse("model_type", "llama");
  if (c.size("head_dim", dim / heads) * heads != dim) refuse("head_dim", "hidden_size / num_attention_heads");
  for (const auto* key : {"attention_bias", "mlp_bias"})
    if (c.get<bool>(key, false)) refuse(key, "false");
  nlohmann::json params{{"dim", dim}, {"n_layers", c.size("num_hidden_layers")}, {"n_heads", heads},
                        {"n_kv_heads", c.size("num_key_value_heads", heads)}, {"vocab_size", c.size("vocab_size")},
                        {"norm_eps", c.get<double>("rms_norm_eps", 1e-6)}, {"rope_theta", c.get<double>("rope_theta", 10000.0)}};
  // Meta's model makes the feed-forward width of two numbers: multiple_of * ceil(int(ffn_dim_multiplier * int(8 dim / 3)) / multiple_of).
  std::int64_t multiple = 256;
  while (ffn % multiple != 0) multiple /= 2;
  const auto plain = 8 * dim / 3;
  params["multiple_of"] = multiple;
  if ((plain + multiple - 1) / multiple * multiple != ffn)
    params["ffn_dim_multiplier"] = (static_cast<double>(ffn) - static_cast<double>(multiple) / 2 + 0.5) / static_cast<double>(plain);
  if (!c.has("rope_scaling")) return params;
  const auto scaling = c.part("rope_scaling");
  const auto type = scaling.get<std::string>("rope_type", scaling.get<std::string>("type", "default"));
  if (type == "default") return params;
  if (type != "llama3" || scaling.get<double>("low_freq_factor") != 1 || scaling.get<double>("high_freq_factor") != 4 ||
      scaling.size("original_max_position_embeddings") != 8192)
    refuse("rope_scaling", "none, or LLaMA 3's own (1, 4, 8192)");
  params["use_scaled_rope"] = true;
  params["rope_scaling_factor"] = scaling.get<double>("factor");
  return params;
}

}  // namespace herd
