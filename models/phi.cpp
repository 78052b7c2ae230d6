// Phi-1, 1.5 and 2 (Gunasekar et al. 2023, Li et al. 2023): attention and feed-forward beside each other on one LayerNorm; biases everywhere, in the head
// too; RoPE on a head's first part.
// b batch, t tokens, d model, h heads, k key/value heads, e head dim, f feed-forward
#include <nlohmann/json.hpp>
#include <optional>

#include "models/decoder.h"
#include "models/families.h"
#include "models/hub_config.h"

namespace herd {
namespace {

struct PhiOptions {
  std::int64_t vocab, d, f, layers, h, k, e;
  double eps, init_std;
  bool tied, qk_norm;
  RopeOptions rope;
};

PhiOptions phi_options(const nlohmann::json& config) {
  const auto json = with_rope_scaling(config);
  const HubConfig c(json);
  PhiOptions o{};
  o.vocab = c.size("vocab_size");
  o.d = c.size("hidden_size");
  o.f = c.size("intermediate_size");
  o.layers = c.size("num_hidden_layers");
  o.h = c.size("num_attention_heads");
  o.k = c.size("num_key_value_heads", o.h);
  o.eps = c.get<double>("layer_norm_eps", 1e-5);
  o.init_std = c.get<double>("initializer_range", 0.02);
  o.tied = c.get<bool>("tie_word_embeddings", false);
  o.qk_norm = c.get<bool>("qk_layernorm", false);
  c.need_multiple("hidden_size", o.d, o.h, "num_attention_heads");
  c.need_multiple("num_attention_heads", o.h, o.k, "num_key_value_heads");
  c.need("hidden_act", "gelu_new");
  o.e = o.d / o.h;
  const auto part = c.get<double>("partial_rotary_factor", 0.5);
  o.rope = {.theta = c.get<double>("rope_theta", 10000), .dim = static_cast<std::int64_t>(static_cast<double>(o.e) * part),
            .max_positions = c.size("max_position_embeddings", 2048)};
  if (o.rope.dim < 2 || o.rope.dim % 2 != 0 || o.rope.dim > o.e)
    throw ConfigError({.who = c.who("partial_rotary_factor"),
                       .found = nlohmann::json(part).dump(),
                       .expected = "one that makes an even number of a head's " + std::to_string(o.e) + " elements",
                       .remedy = ""});
  if (c.has("rope_scaling"))
    throw ConfigError({.who = c.who("rope_scaling"), .found = json["rope_scaling"].dump(), .expected = "null: no Phi was published with one", .remedy = ""});
  return o;
}

struct PhiBlock final : Block {
  explicit PhiBlock(const PhiOptions& o)
      : norm(o.d, o.eps), q(o.d, o.d, true, "heads", "embed"), k(o.d, o.k * o.e, true, "kv_heads", "embed"),
        v(o.d, o.k * o.e, true, "kv_heads", "embed"), dense(o.d, o.d, true, "embed", "heads"), up(o.d, o.f, true, "ffn", "embed"),
        down(o.f, o.d, true, "embed", "ffn"), head_dim(o.e) {
    if (o.qk_norm) head_norms.emplace(HeadNorms{{o.e, o.eps}, {o.e, o.eps}});
  }

  Tensor forward(const Tensor& x_btd, const Context& ctx) override {
    const auto n_btd = norm(x_btd);
    const auto heads = [&](Linear& of) { return of(n_btd).unflatten(-1, {-1, head_dim}); };
    auto q_bthe = heads(q), k_btke = heads(k);
    if (head_norms) q_bthe = head_norms->q(q_bthe), k_btke = head_norms->k(k_btke);
    const auto seen_btd = dense(attention(rope(q_bthe, ctx.rope), rope(k_btke, ctx.rope), heads(v), ctx.attention, ctx.cache, ctx.layer));
    return x_btd + seen_btd + down(gelu_tanh(up(n_btd)));
  }

  void visit(Visitor& visitor) override {
    visitor("self_attn.q_proj", q);
    visitor("self_attn.k_proj", k);
    visitor("self_attn.v_proj", v);
    visitor("self_attn.dense", dense);
    if (head_norms) visitor("self_attn.q_layernorm", head_norms->q), visitor("self_attn.k_layernorm", head_norms->k);
    visitor("mlp.fc1", up);
    visitor("mlp.fc2", down);
    visitor("input_layernorm", norm);
  }

  struct HeadNorms {
    LayerNorm q, k;  // [e] [e]
  };
  LayerNorm norm;         // [d]
  Linear q, k, v, dense;  // [h*e, d] [k*e, d] [k*e, d] [d, h*e]
  Linear up, down;        // [f, d] [d, f]
  std::optional<HeadNorms> head_norms;
  std::int64_t head_dim;
};

class Phi final : public Decoder<LayerNorm> {
 public:
  explicit Phi(const PhiOptions& o)
      : Decoder({.vocab_size = o.vocab, .hidden_size = o.d, .max_positions = o.rope.max_positions, .kv_heads = o.k, .head_dim = o.e, .tied = o.tied,
                 .init_std = o.init_std},
                o.eps, {.norm = "model.final_layernorm"}, true),
        rope_(o.rope) {
    for (std::int64_t i = 0; i < o.layers; ++i) blocks.push_back(std::make_unique<PhiBlock>(o));
  }

  Context context(const Batch& batch, KvCache* cache) const override {
    return {.attention = attention_layout(batch), .rope = rope_table(rope_, batch), .cache = cache};
  }

 private:
  RopeOptions rope_;
};

}  // namespace

std::unique_ptr<CausalLm> make_phi(const nlohmann::json& config) { return std::make_unique<Phi>(phi_options(config)); }

}  // namespace herd
