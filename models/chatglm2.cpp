// ChatGLM2-6B and ChatGLM3-6B (GLM Team 2024): a causal model behind the tokens [gMASK] sop; RMSNorm, few key/value heads, RoPE on the first half of a
// head with neighbours paired, SwiGLU in one matrix.
// b batch, t tokens, d model, h heads, k key/value heads, e head dim, f feed-forward
#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>

#include "models/decoder.h"
#include "models/families.h"
#include "models/hub_config.h"

namespace herd {
namespace {

struct ChatGlm2Options {
  std::int64_t vocab, d, f, layers, h, k, e;
  double eps, init_std;
  bool tied, qkv_bias, bias;
  RopeOptions rope;
};

// `rope_ratio` says how many times longer the context is, and each release's own code took it otherwise: ChatGLM2-6B-32k divides positions by it,
// ChatGLM3 and GLM-4 multiply theta. Their configs have the same keys; only the name that they were published under, which stays in `_name_or_path`,
// tells them apart. Guessing would train a model that is nobody's.
void stretch(RopeOptions& rope, const HubConfig& c) {
  const auto ratio = c.get<double>("rope_ratio", 1.0);
  if (ratio == 1) return;
  auto name = c.get<std::string>("_name_or_path", "");
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char x) { return x == '_' ? '-' : static_cast<char>(std::tolower(x)); });
  const auto named = [&](const char* part) { return name.find(part) != std::string::npos; };
  const bool second = named("chatglm2"), later = named("chatglm3") || named("glm-4") || named("glm4");
  const auto scales = c.get<std::string>("rope_ratio_scales", second == later ? "" : second ? "positions" : "theta");
  if (scales == "theta") {
    rope.theta *= ratio;
  } else if (scales == "positions") {
    rope.scaling = RopeOptions::Scaling::kLinear;
    rope.factor = ratio;
  } else {
    throw ConfigError({.who = c.who(scales.empty() ? "rope_ratio" : "rope_ratio_scales"),
                       .found = scales.empty() ? nlohmann::json(ratio).dump() + ", and '_name_or_path' ('" + name + "') is neither ChatGLM2's nor ChatGLM3's nor GLM-4's"
                                               : "'" + scales + "'",
                       .expected = "to know whether rope_ratio divides positions (ChatGLM2-6B-32k) or multiplies theta (ChatGLM3, GLM-4)",
                       .remedy = "add \"rope_ratio_scales\": \"positions\" or \"theta\" to config.json"});
  }
}

ChatGlm2Options chatglm2_options(const nlohmann::json& json) {
  const HubConfig c(json);
  ChatGlm2Options o{};
  o.vocab = c.size_of({"padded_vocab_size", "vocab_size"});
  o.d = c.size("hidden_size");
  o.f = c.size("ffn_hidden_size");
  o.layers = c.size_of({"num_layers", "num_hidden_layers"});
  o.h = c.size("num_attention_heads");
  o.k = c.get<bool>("multi_query_attention", c.has("multi_query_group_num")) ? c.size("multi_query_group_num", 1) : o.h;
  if (!c.has("kv_channels")) c.need_multiple("hidden_size", o.d, o.h, "num_attention_heads");
  o.e = c.size("kv_channels", o.d / o.h);
  o.eps = c.get<double>("layernorm_epsilon", 1e-5);
  o.init_std = c.get<double>("initializer_range", 0.02);
  o.tied = c.get<bool>("tie_word_embeddings", false);
  o.qkv_bias = c.get<bool>("add_qkv_bias", false) || c.get<bool>("add_bias_linear", false);
  o.bias = c.get<bool>("add_bias_linear", false);
  o.rope = {.dim = o.e / 2, .interleaved = true, .max_positions = c.size("seq_length", 2048)};
  stretch(o.rope, c);
  c.need("rmsnorm", true);
  c.need("post_layer_norm", true);
  c.need("apply_residual_connection_post_layernorm", false);
  if (o.h % o.k != 0)
    throw ConfigError({.who = c.who("multi_query_group_num"),
                       .found = std::to_string(o.k),
                       .expected = "a divisor of num_attention_heads (" + std::to_string(o.h) + ")",
                       .remedy = ""});
  if (o.e % 4 != 0)
    throw ConfigError({.who = c.who("kv_channels"), .found = std::to_string(o.e), .expected = "a multiple of 4: RoPE turns pairs of a half", .remedy = ""});
  return o;
}

struct ChatGlm2Block final : Block {
  explicit ChatGlm2Block(const ChatGlm2Options& o)
      : attention_norm(o.d, o.eps), mlp_norm(o.d, o.eps), qkv(o.d, (o.h + 2 * o.k) * o.e, o.qkv_bias, "heads", "embed"),
        dense(o.h * o.e, o.d, o.bias, "embed", "heads"), gate_up(o.d, 2 * o.f, o.bias, "ffn", "embed"), down(o.f, o.d, o.bias, "embed", "ffn"),
        h(o.h), k(o.k), f(o.f) {}

  Tensor forward(const Tensor& x_btd, const Context& ctx) override {
    const auto heads_bthe = qkv(attention_norm(x_btd)).unflatten(-1, {h + 2 * k, -1}).split_with_sizes({h, k, k}, 2);
    const auto q_bthe = rope(heads_bthe[0], ctx.rope), k_btke = rope(heads_bthe[1], ctx.rope);
    const auto y_btd = x_btd + dense(attention(q_bthe, k_btke, heads_bthe[2], ctx.attention, ctx.cache, ctx.layer));
    const auto both = gate_up(mlp_norm(y_btd)).split(f, -1);
    return y_btd + down(silu_mul(both[0], both[1]));
  }

  void visit(Visitor& v) override {
    v("input_layernorm", attention_norm);
    v("self_attention.query_key_value", qkv);
    v("self_attention.dense", dense);
    v("post_attention_layernorm", mlp_norm);
    v("mlp.dense_h_to_4h", gate_up);
    v("mlp.dense_4h_to_h", down);
  }

  RmsNorm attention_norm, mlp_norm;  // [d]
  Linear qkv, dense;                 // [(h + 2k)*e, d] [d, h*e]
  Linear gate_up, down;              // [2f, d] [d, f]
  std::int64_t h, k, f;
};

class ChatGlm2 final : public Decoder<RmsNorm> {
 public:
  explicit ChatGlm2(const ChatGlm2Options& o)
      : Decoder({.vocab_size = o.vocab, .hidden_size = o.d, .max_positions = o.rope.max_positions, .kv_heads = o.k, .head_dim = o.e,
                 .tied = o.tied, .init_std = o.init_std, .prefix_has_positions = false},
                o.eps, {"transformer.embedding.word_embeddings", "transformer.encoder.layers", "transformer.encoder.final_layernorm",
                        "transformer.output_layer"}),
        rope_(o.rope) {
    for (std::int64_t i = 0; i < o.layers; ++i) blocks.push_back(std::make_unique<ChatGlm2Block>(o));
  }

  Context context(const Batch& batch, KvCache* cache) const override {
    return {.attention = attention_layout(batch), .rope = rope_table(rope_, batch), .cache = cache};
  }

 private:
  RopeOptions rope_;
};

}  // namespace

std::unique_ptr<CausalLm> make_chatglm2(const nlohmann::json& config) { return std::make_unique<ChatGlm2>(chatglm2_options(config)); }

}  // namespace herd
