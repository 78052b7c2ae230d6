// BLOOM and BLOOMZ (BigScience 2022): LayerNorm with biases, also after the embedding; ALiBi; q, k and v in one matrix, head by head; GELU.
// b batch, t tokens, d model, h heads, e head dim
#include <nlohmann/json.hpp>

#include "models/decoder.h"
#include "models/families.h"
#include "models/hub_config.h"

namespace herd {
namespace {

struct BloomOptions {
  std::int64_t vocab, d, layers, h, positions;
  double eps, init_std;
  bool tied, residual_after_norm;
};

BloomOptions bloom_options(const nlohmann::json& json) {
  const HubConfig c(json);
  BloomOptions o{};
  o.vocab = c.size("vocab_size");
  o.d = c.size_of({"hidden_size", "n_embed"});
  o.layers = c.size_of({"n_layer", "num_hidden_layers"});
  o.h = c.size_of({"n_head", "num_attention_heads"});
  o.positions = c.size("seq_length", 2048);
  o.eps = c.get<double>("layer_norm_epsilon", 1e-5);
  o.init_std = c.get<double>("initializer_range", 0.02);
  o.tied = c.get<bool>("tie_word_embeddings", true);
  o.residual_after_norm = c.get<bool>("apply_residual_connection_post_layernorm", false);
  c.need_multiple("hidden_size", o.d, o.h, "the number of heads");
  return o;
}

struct BloomBlock final : Block {
  explicit BloomBlock(const BloomOptions& o)
      : attention_norm(o.d, o.eps), mlp_norm(o.d, o.eps), qkv(o.d, 3 * o.d, true, "heads", "embed"), dense(o.d, o.d, true, "embed", "heads"),
        up(o.d, 4 * o.d, true, "ffn", "embed"), down(4 * o.d, o.d, true, "embed", "ffn"), h(o.h), residual_after_norm(o.residual_after_norm) {}

  Tensor forward(const Tensor& x_btd, const Context& ctx) override {
    const auto a_btd = attention_norm(x_btd);
    const auto qkv_bth3e = qkv(a_btd).unflatten(-1, {h, 3, -1});
    const auto part = [&](std::int64_t i) { return qkv_bth3e.select(3, i); };
    const auto seen_btd = dense(attention(part(0), part(1), part(2), ctx.attention, ctx.cache, ctx.layer));
    const auto y_btd = seen_btd + (residual_after_norm ? a_btd : x_btd);
    const auto m_btd = mlp_norm(y_btd);
    return down(gelu_tanh(up(m_btd))) + (residual_after_norm ? m_btd : y_btd);
  }

  void visit(Visitor& v) override {
    v("input_layernorm", attention_norm);
    v("self_attention.query_key_value", qkv);
    v("self_attention.dense", dense);
    v("post_attention_layernorm", mlp_norm);
    v("mlp.dense_h_to_4h", up);
    v("mlp.dense_4h_to_h", down);
  }

  LayerNorm attention_norm, mlp_norm;  // [d]
  Linear qkv, dense;                   // [h*3*e, d] [d, h*e]
  Linear up, down;                     // [4d, d] [d, 4d]
  std::int64_t h;
  bool residual_after_norm;
};

class Bloom final : public Decoder<LayerNorm> {
 public:
  explicit Bloom(const BloomOptions& o)
      : Decoder({.vocab_size = o.vocab, .hidden_size = o.d, .max_positions = o.positions, .kv_heads = o.h, .head_dim = o.d / o.h,
                 .tied = o.tied, .init_std = o.init_std},
                o.eps, {"transformer.word_embeddings", "transformer.h", "transformer.ln_f", "lm_head"}),
        embedding_norm_(o.d, o.eps) {
    for (std::int64_t i = 0; i < o.layers; ++i) blocks.push_back(std::make_unique<BloomBlock>(o));
  }

  Tensor enter(const Tensor& x_btd, const Batch&) override { return embedding_norm_(x_btd); }
  void visit_embedding(Visitor& v) override {
    Decoder::visit_embedding(v);
    v("transformer.word_embeddings_layernorm", embedding_norm_);
  }
  Context context(const Batch& batch, KvCache* cache) const override {
    Context ctx{.attention = attention_layout(batch), .rope = {}, .cache = cache};
    ctx.attention.alibi_slopes = alibi_slopes(facts.kv_heads);
    return ctx;
  }

 private:
  LayerNorm embedding_norm_;  // [d]
};

}  // namespace

std::unique_ptr<CausalLm> make_bloom(const nlohmann::json& config) { return std::make_unique<Bloom>(bloom_options(config)); }

}  // namespace herd
