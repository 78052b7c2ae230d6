// MOSS-moon-003 (Sun et al. 2024), a CodeGen (Nijkamp et al. 2022): attention and feed-forward beside each other on one LayerNorm; q, v and k in one
// matrix of four partitions; RoPE on a head's first elements, neighbours paired; a head with a bias.
// b batch, t tokens, d model, h heads, e head dim, f feed-forward, p partitions
#include <nlohmann/json.hpp>

#include "models/decoder.h"
#include "models/families.h"
#include "models/hub_config.h"

namespace herd {
namespace {

constexpr std::int64_t kPartitions = 4;  // of the TPU slice that CodeGen was trained on

struct MossOptions {
  std::int64_t vocab, d, f, layers, h;
  double eps, init_std;
  bool tied;
  RopeOptions rope;
};

MossOptions moss_options(const nlohmann::json& json) {
  const HubConfig c(json);
  MossOptions o{};
  o.vocab = c.size("vocab_size");
  o.d = c.size("n_embd");
  o.layers = c.size("n_layer");
  o.h = c.size("n_head");
  o.f = c.size("n_inner", 4 * o.d);
  o.eps = c.get<double>("layer_norm_epsilon", 1e-5);
  o.init_std = c.get<double>("initializer_range", 0.02);
  o.tied = c.get<bool>("tie_word_embeddings", false);
  c.need_multiple("n_embd", o.d, o.h, "n_head");
  c.need_multiple("n_head", o.h, kPartitions, "the partitions of its qkv_proj");
  o.rope = {.dim = c.size("rotary_dim", 64), .interleaved = true, .max_positions = c.size("n_positions", 2048)};
  if (o.rope.dim % 2 != 0 || o.rope.dim > o.d / o.h)
    throw ConfigError({.who = c.who("rotary_dim"),
                       .found = std::to_string(o.rope.dim),
                       .expected = "an even number up to the head's width, " + std::to_string(o.d / o.h),
                       .remedy = ""});
  c.need("activation_function", "gelu_new");
  return o;
}

struct MossBlock final : Block {
  explicit MossBlock(const MossOptions& o)
      : norm(o.d, o.eps), qvk(o.d, 3 * o.d, false, "heads", "embed"), out(o.d, o.d, false, "embed", "heads"), up(o.d, o.f, true, "ffn", "embed"),
        down(o.f, o.d, true, "embed", "ffn"), heads_a_partition(o.h / kPartitions) {}

  Tensor forward(const Tensor& x_btd, const Context& ctx) override {
    const auto n_btd = norm(x_btd);
    const auto qvk_btp3he = qvk(n_btd).unflatten(-1, {kPartitions, 3, heads_a_partition, -1});
    const auto part = [&](std::int64_t i) { return qvk_btp3he.select(3, i).flatten(2, 3); };  // [b, t, h, e]
    const auto q_bthe = rope(part(0), ctx.rope), k_bthe = rope(part(2), ctx.rope);
    const auto seen_btd = out(attention(q_bthe, k_bthe, part(1), ctx.attention, ctx.cache, ctx.layer));
    return x_btd + seen_btd + down(gelu_tanh(up(n_btd)));
  }

  void visit(Visitor& v) override {
    v("ln_1", norm);
    v("attn.qkv_proj", qvk);
    v("attn.out_proj", out);
    v("mlp.fc_in", up);
    v("mlp.fc_out", down);
  }

  LayerNorm norm;   // [d]
  Linear qvk, out;  // [p*3*(h/p)*e, d] [d, h*e]
  Linear up, down;  // [f, d] [d, f]
  std::int64_t heads_a_partition;
};

class Moss final : public Decoder<LayerNorm> {
 public:
  explicit Moss(const MossOptions& o)
      : Decoder({.vocab_size = o.vocab, .hidden_size = o.d, .max_positions = o.rope.max_positions, .kv_heads = o.h, .head_dim = o.d / o.h,
                 .tied = o.tied, .init_std = o.init_std},
                o.eps, {"transformer.wte", "transformer.h", "transformer.ln_f", "lm_head"}, true),
        rope_(o.rope) {
    for (std::int64_t i = 0; i < o.layers; ++i) blocks.push_back(std::make_unique<MossBlock>(o));
  }

  Context context(const Batch& batch, KvCache* cache) const override {
    return {.attention = attention_layout(batch), .rope = rope_table(rope_, batch), .cache = cache};
  }

 private:
  RopeOptions rope_;
};

}  // namespace

std::unique_ptr<CausalLm> make_moss(const nlohmann::json& config) { return std::make_unique<Moss>(moss_options(config)); }

}  // namespace herd
