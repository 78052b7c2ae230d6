#include "models/llama_parts.h"

#include <algorithm>
#include <optional>

namespace herd {
namespace {

RopeOptions rope_options(const HubConfig& c, std::int64_t head_dim) {
  // transformers 5 writes `rope_parameters`, which holds theta too; before it there were `rope_theta` and `rope_scaling`.
  const auto key = c.has("rope_parameters") ? "rope_parameters" : "rope_scaling";
  RopeOptions o{.theta = c.get<double>("rope_theta", 10000.0), .dim = head_dim};
  o.max_positions = c.size("max_position_embeddings", c.size("max_sequence_length", 2048));
  if (!c.has(key)) return o;
  const auto s = c.part(key);
  o.theta = s.get<double>("rope_theta", o.theta);
  const auto type = s.get<std::string>("rope_type", s.get<std::string>("type", "default"));
  if (type == "default") return o;
  o.factor = s.get<double>("factor");
  if (type == "linear") o.scaling = RopeOptions::Scaling::kLinear;
  else if (type == "dynamic") o.scaling = RopeOptions::Scaling::kDynamic;
  else if (type == "llama3") {
    o.scaling = RopeOptions::Scaling::kLlama3;
    o.low_freq_factor = s.get<double>("low_freq_factor");
    o.high_freq_factor = s.get<double>("high_freq_factor");
    o.original_max_positions = s.size("original_max_position_embeddings");
    if (o.high_freq_factor <= o.low_freq_factor)
      throw ConfigError({.who = s.who("high_freq_factor"),
                         .found = nlohmann::json(o.high_freq_factor).dump(),
                         .expected = "above low_freq_factor, " + nlohmann::json(o.low_freq_factor).dump(),
                         .remedy = ""});
  } else {
    throw ConfigError({.who = c.who(key) + ": 'rope_type'", .found = "'" + type + "'", .expected = "default, linear, dynamic or llama3"});
  }
  return o;
}

// Tokens a text may have. Linear and dynamic configs give the trained length, which `factor` stretches; llama3 gives the stretched one.
std::int64_t context_of(const RopeOptions& o) {
  const bool stretched = o.scaling == RopeOptions::Scaling::kLinear || o.scaling == RopeOptions::Scaling::kDynamic;
  return stretched ? static_cast<std::int64_t>(static_cast<double>(o.max_positions) * o.factor) : o.max_positions;
}

// down(silu(gate) · up) (Shazeer 2020).
struct SwiGlu {
  explicit SwiGlu(const LlamaOptions& o)
      : gate(o.d, o.f, o.mlp_bias, "ffn", "embed"), up(o.d, o.f, o.mlp_bias, "ffn", "embed"), down(o.f, o.d, o.mlp_bias, "embed", "ffn") {}
  Tensor operator()(const Tensor& x_btd) { return down(silu_mul(gate(x_btd), up(x_btd))); }
  void visit(Visitor& v) { v("gate_proj", gate), v("up_proj", up), v("down_proj", down); }
  Linear gate, up, down;  // [f, d] [f, d] [d, f]
};

struct Attention {
  Attention(const LlamaOptions& options, std::int64_t layer)
      : o(options.h * options.e, options.d, options.o_bias, "embed", "heads"), head_dim(options.e),
        window(options.windows.empty() ? 0 : options.windows[static_cast<std::size_t>(layer)]), alibi(options.alibi) {
    const auto d = options.d, queries = options.h * options.e, keys = options.k * options.e;
    if (options.packed_qkv) packed.emplace(d, queries + 2 * keys, options.qkv_bias, "heads", "embed");
    else apart.emplace(Apart{{d, queries, options.qkv_bias, "heads", "embed"}, {d, keys, options.qkv_bias, "kv_heads", "embed"}, {d, keys, options.qkv_bias, "kv_heads", "embed"}});
    widths = {queries, keys, keys};
    if (options.qk_norm) norms.emplace(Norms{{options.e, options.eps}, {options.e, options.eps}});
  }

  Tensor operator()(const Tensor& x_btd, const Context& ctx) {
    auto [q_bthe, k_btke, v_btke] = project(x_btd);
    if (norms) q_bthe = norms->q(q_bthe), k_btke = norms->k(k_btke);
    if (!alibi) q_bthe = rope(q_bthe, ctx.rope), k_btke = rope(k_btke, ctx.rope);
    if (window == 0) return o(attention(q_bthe, k_btke, v_btke, ctx.attention, ctx.cache, ctx.layer));
    auto layout = ctx.attention;
    layout.window = window;
    return o(attention(q_bthe, k_btke, v_btke, layout, ctx.cache, ctx.layer));
  }

  std::tuple<Tensor, Tensor, Tensor> project(const Tensor& x_btd) {
    const auto heads = [this](const Tensor& x) { return x.unflatten(-1, {-1, head_dim}); };
    if (apart) return {heads(apart->q(x_btd)), heads(apart->k(x_btd)), heads(apart->v(x_btd))};
    const auto parts = (*packed)(x_btd).split_with_sizes(widths, -1);
    return {heads(parts[0]), heads(parts[1]), heads(parts[2])};
  }

  void visit(Visitor& v) {
    if (apart) v("q_proj", apart->q), v("k_proj", apart->k), v("v_proj", apart->v);
    else v("W_pack", *packed);
    v("o_proj", o);
    if (norms) v("q_norm", norms->q), v("k_norm", norms->k);
  }

  struct Apart {
    Linear q, k, v;  // [h*e, d] [k*e, d] [k*e, d]
  };
  struct Norms {
    RmsNorm q, k;  // [e] [e]
  };
  std::optional<Apart> apart;
  std::optional<Linear> packed;  // [(h + 2k)*e, d]
  std::optional<Norms> norms;
  Linear o;  // [d, h*e]
  std::vector<std::int64_t> widths;
  std::int64_t head_dim, window;
  bool alibi;
};

struct LlamaBlock final : Block {
  LlamaBlock(const LlamaOptions& o, std::int64_t layer) : attention_norm(o.d, o.eps), mlp_norm(o.d, o.eps), attend(o, layer), mlp(o) {}

  Tensor forward(const Tensor& x_btd, const Context& ctx) override {
    const auto y_btd = x_btd + attend(attention_norm(x_btd), ctx);
    return y_btd + mlp(mlp_norm(y_btd));
  }

  void visit(Visitor& v) override {
    v("self_attn", attend);
    v("mlp", mlp);
    v("input_layernorm", attention_norm);
    v("post_attention_layernorm", mlp_norm);
  }

  RmsNorm attention_norm, mlp_norm;  // [d]
  Attention attend;
  SwiGlu mlp;
};

class Llama final : public Decoder<RmsNorm> {
 public:
  explicit Llama(const LlamaOptions& o)
      : Decoder({.vocab_size = o.vocab, .hidden_size = o.d, .max_positions = context_of(o.rope), .kv_heads = o.k, .head_dim = o.e,
                 .tied = o.tied, .init_std = o.init_std},
                o.eps),
        rope_(o.rope), alibi_heads_(o.alibi ? o.h : 0) {
    for (std::int64_t i = 0; i < o.layers; ++i) blocks.push_back(std::make_unique<LlamaBlock>(o, i));
  }

  Context context(const Batch& batch, KvCache* cache) const override {
    Context ctx{.attention = attention_layout(batch), .rope = {}, .cache = cache};
    if (alibi_heads_ > 0) ctx.attention.alibi_slopes = alibi_slopes(alibi_heads_);
    else ctx.rope = rope_table(rope_, batch);
    return ctx;
  }

 private:
  RopeOptions rope_;
  std::int64_t alibi_heads_;  // 0: RoPE
};

}  // namespace

LlamaOptions read_llama_options(const HubConfig& c) {
  LlamaOptions o;
  o.vocab = c.size("vocab_size");
  o.d = c.size("hidden_size");
  o.f = c.size("intermediate_size");
  o.layers = c.size("num_hidden_layers");
  o.h = c.size("num_attention_heads");
  o.k = c.size("num_key_value_heads", o.h);
  o.e = c.size("head_dim", o.d / o.h);
  o.eps = c.get<double>("rms_norm_eps", 1e-6);
  o.init_std = c.get<double>("initializer_range", 0.02);
  o.tied = c.get<bool>("tie_word_embeddings", false);
  o.rope = rope_options(c, o.e);
  c.need("hidden_act", "silu");
  if (o.h % o.k != 0)
    throw ConfigError({.who = c.who("num_key_value_heads"),
                       .found = std::to_string(o.k),
                       .expected = "a divisor of num_attention_heads (" + std::to_string(o.h) + ")"});
  if (c.has("head_dim") && o.e % 2 != 0)
    throw ConfigError({.who = c.who("head_dim"), .found = std::to_string(o.e), .expected = "an even number, for RoPE", .remedy = ""});
  if (o.e % 2 != 0 || (!c.has("head_dim") && o.d % o.h != 0))
    throw ConfigError({.who = c.who("hidden_size"),
                       .found = std::to_string(o.d),
                       .expected = "a multiple of num_attention_heads with an even head dim"});
  return o;
}

std::vector<std::int64_t> read_windows(const HubConfig& c, std::int64_t layers, std::int64_t first) {
  if (!c.has("sliding_window")) return {};
  const auto window = c.size("sliding_window");
  std::vector<std::int64_t> windows;
  if (!c.has("layer_types")) {
    for (std::int64_t i = 0; i < layers; ++i) windows.push_back(i >= first ? window : 0);
  } else {
    for (const auto& type : c.list("layer_types")) {
      if (type != "sliding_attention" && type != "full_attention")
        throw ConfigError({.who = c.who("layer_types"), .found = "'" + type + "'", .expected = "full_attention or sliding_attention", .remedy = ""});
      windows.push_back(type == "sliding_attention" ? window : 0);
    }
    if (static_cast<std::int64_t>(windows.size()) != layers)
      throw ConfigError({.who = c.who("layer_types"),
                         .found = std::to_string(windows.size()) + " of them",
                         .expected = "one a layer, of which num_hidden_layers gives " + std::to_string(layers),
                         .remedy = ""});
  }
  if (std::all_of(windows.begin(), windows.end(), [](auto w) { return w == 0; })) windows.clear();
  return windows;
}

std::unique_ptr<CausalLm> make_llama_model(const LlamaOptions& options) { return std::make_unique<Llama>(options); }

}  // namespace herd
