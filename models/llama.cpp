// LLaMA 1/2/3, Vicuna, Alpaca, TinyLlama, SmolLM (Touvron et al. 2023; Llama 3 herd 2024).
// b batch, t tokens, d model, h heads, k key/value heads, e head dim, f feed-forward
#include "models/llama.h"

#include "models/hub_config.h"

namespace herd {
namespace {

struct LlamaOptions {
  std::int64_t vocab, d, f, layers, h, k, e;
  double eps, init_std;
  bool tied, attention_bias, mlp_bias;
  RopeOptions rope;
};

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

LlamaOptions llama_options(const nlohmann::json& json) {
  const HubConfig c(json);
  LlamaOptions o{};
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
  o.attention_bias = c.get<bool>("attention_bias", false);
  o.mlp_bias = c.get<bool>("mlp_bias", false);
  o.rope = rope_options(c, o.e);
  const auto activation = c.get<std::string>("hidden_act", "silu");
  if (activation != "silu")
    throw ConfigError({.who = c.who("hidden_act"), .found = "'" + activation + "'", .expected = "silu", .remedy = ""});
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

struct LlamaBlock final : Block {
  explicit LlamaBlock(const LlamaOptions& o)
      : attention_norm(o.d, o.eps), mlp_norm(o.d, o.eps),
        q(o.d, o.h * o.e, o.attention_bias, "heads", "embed"), k(o.d, o.k * o.e, o.attention_bias, "kv_heads", "embed"),
        v(o.d, o.k * o.e, o.attention_bias, "kv_heads", "embed"), o(o.h * o.e, o.d, o.attention_bias, "embed", "heads"),
        gate(o.d, o.f, o.mlp_bias, "ffn", "embed"), up(o.d, o.f, o.mlp_bias, "ffn", "embed"), down(o.f, o.d, o.mlp_bias, "embed", "ffn"),
        head_dim(o.e) {}

  Tensor forward(const Tensor& x_btd, const Context& ctx) override {
    const auto n_btd = attention_norm(x_btd);
    const auto q_bthe = rope(heads(q(n_btd)), ctx.rope), k_btke = rope(heads(k(n_btd)), ctx.rope), v_btke = heads(v(n_btd));
    const auto y_btd = x_btd + o(attention(q_bthe, k_btke, v_btke, ctx.attention, ctx.cache, ctx.layer));
    const auto m_btd = mlp_norm(y_btd);
    return y_btd + down(silu_mul(gate(m_btd), up(m_btd)));
  }

  void visit(Visitor& visitor) override {
    visitor("self_attn.q_proj", q);
    visitor("self_attn.k_proj", k);
    visitor("self_attn.v_proj", v);
    visitor("self_attn.o_proj", o);
    visitor("mlp.gate_proj", gate);
    visitor("mlp.up_proj", up);
    visitor("mlp.down_proj", down);
    visitor("input_layernorm", attention_norm);
    visitor("post_attention_layernorm", mlp_norm);
  }

  Tensor heads(const Tensor& x) const { return x.unflatten(-1, {-1, head_dim}); }

  RmsNorm attention_norm, mlp_norm;  // [d]
  Linear q, k, v, o;                 // [h*e, d] [k*e, d] [k*e, d] [d, h*e]
  Linear gate, up, down;             // [f, d] [f, d] [d, f]
  std::int64_t head_dim;
};

class Llama final : public CausalLm {
 public:
  explicit Llama(const LlamaOptions& o)
      : embedding_(o.vocab, o.d), norm_(o.d, o.eps), head_(o.d, o.vocab, false, "vocab", "embed"), rope_(o.rope) {
    for (std::int64_t i = 0; i < o.layers; ++i) blocks.push_back(std::make_unique<LlamaBlock>(o));
    facts = {.vocab_size = o.vocab, .hidden_size = o.d, .max_positions = context_of(o.rope), .kv_heads = o.k, .head_dim = o.e,
             .tied = o.tied, .init_std = o.init_std};
    Llama::tie();
  }

  Tensor embed(const Tensor& tokens_bt) override { return embedding_(tokens_bt); }
  Tensor final_norm(const Tensor& x_btd) override { return norm_(x_btd); }
  Linear& head() override { return head_; }

  Context context(const Batch& batch, KvCache* cache) const override {
    return {.attention = attention_layout(batch), .rope = rope_table(rope_, batch), .cache = cache};
  }

  void visit_embedding(Visitor& v) override { v("model.embed_tokens", embedding_); }
  void visit_head(Visitor& v) override {
    v("model.norm", norm_);
    if (!facts.tied) v("lm_head", head_);
  }
  std::string block_name(std::size_t index) const override { return "model.layers." + std::to_string(index); }
  void tie() override {
    if (facts.tied) head_.weight().value = embedding_.weight.value;
  }

 private:
  Embedding embedding_;  // [vocab, d]
  RmsNorm norm_;         // [d]
  Linear head_;          // [vocab, d]
  RopeOptions rope_;
};

}  // namespace

std::unique_ptr<CausalLm> make_llama(const nlohmann::json& config) { return std::make_unique<Llama>(llama_options(config)); }

}  // namespace herd
