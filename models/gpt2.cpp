// GPT-2 (Radford et al. 2019): learned positions; LayerNorm before each half of a block; q, k and v in one matrix, one after the other; GELU. Its files
// hold the blocks' matrices transposed.
// b batch, t tokens, d model, h heads, e head dim, f feed-forward
#include <nlohmann/json.hpp>

#include "models/decoder.h"
#include "models/families.h"
#include "models/hub_config.h"

namespace herd {
namespace {

struct Gpt2Options {
  std::int64_t vocab, d, f, layers, h, positions;
  double eps, init_std;
  bool tied;
};

Gpt2Options gpt2_options(const nlohmann::json& json) {
  const HubConfig c(json);
  Gpt2Options o{};
  o.vocab = c.size("vocab_size");
  o.d = c.size("n_embd");
  o.layers = c.size("n_layer");
  o.h = c.size("n_head");
  o.f = c.size("n_inner", 4 * o.d);
  o.positions = c.size("n_positions", 1024);
  o.eps = c.get<double>("layer_norm_epsilon", 1e-5);
  o.init_std = c.get<double>("initializer_range", 0.02);
  o.tied = c.get<bool>("tie_word_embeddings", true);
  c.need_multiple("n_embd", o.d, o.h, "n_head");
  c.need("activation_function", "gelu_new");
  c.need("scale_attn_weights", true);
  c.need("scale_attn_by_inverse_layer_idx", false);
  c.need("add_cross_attention", false);
  return o;
}

Linear conv1d(std::int64_t in, std::int64_t out, const char* out_axis, const char* in_axis) {
  return {in, out, true, out_axis, in_axis, WeightLayout::kInOut};
}

struct Gpt2Block final : Block {
  explicit Gpt2Block(const Gpt2Options& o)
      : attention_norm(o.d, o.eps), mlp_norm(o.d, o.eps), qkv(conv1d(o.d, 3 * o.d, "heads", "embed")), out(conv1d(o.d, o.d, "embed", "heads")),
        up(conv1d(o.d, o.f, "ffn", "embed")), down(conv1d(o.f, o.d, "embed", "ffn")), h(o.h) {}

  Tensor forward(const Tensor& x_btd, const Context& ctx) override {
    const auto qkv_bt3he = qkv(attention_norm(x_btd)).unflatten(-1, {3, h, -1});
    const auto part = [&](std::int64_t i) { return qkv_bt3he.select(2, i); };
    const auto y_btd = x_btd + out(attention(part(0), part(1), part(2), ctx.attention, ctx.cache, ctx.layer));
    return y_btd + down(gelu_tanh(up(mlp_norm(y_btd))));
  }

  void visit(Visitor& v) override {
    v("ln_1", attention_norm);
    v("attn.c_attn", qkv);
    v("attn.c_proj", out);
    v("ln_2", mlp_norm);
    v("mlp.c_fc", up);
    v("mlp.c_proj", down);
  }

  LayerNorm attention_norm, mlp_norm;  // [d]
  Linear qkv, out;                     // [d, 3*h*e] [h*e, d]
  Linear up, down;                     // [d, f] [f, d]
  std::int64_t h;
};

class Gpt2 final : public Decoder<LayerNorm> {
 public:
  explicit Gpt2(const Gpt2Options& o)
      : Decoder({.vocab_size = o.vocab, .hidden_size = o.d, .max_positions = o.positions, .kv_heads = o.h, .head_dim = o.d / o.h,
                 .tied = o.tied, .init_std = o.init_std},
                o.eps, {"transformer.wte", "transformer.h", "transformer.ln_f", "lm_head"}),
        positions_(o.positions, o.d, "positions") {
    for (std::int64_t i = 0; i < o.layers; ++i) blocks.push_back(std::make_unique<Gpt2Block>(o));
  }

  Tensor enter(const Tensor& x_btd, const Batch& seen) override { return x_btd + positions_(seen.positions_bt); }
  void visit_embedding(Visitor& v) override {
    Decoder::visit_embedding(v);
    v("transformer.wpe", positions_);
  }
  Context context(const Batch& batch, KvCache* cache) const override { return {.attention = attention_layout(batch), .rope = {}, .cache = cache}; }

 private:
  Embedding positions_;  // [positions, d]
};

}  // namespace

std::unique_ptr<CausalLm> make_gpt2(const nlohmann::json& config) { return std::make_unique<Gpt2>(gpt2_options(config)); }

}  // namespace herd
