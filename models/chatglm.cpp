// ChatGLM-6B (Du et al. 2022, Zeng et al. 2023): a prompt whose tokens see each other both ways, ended by [gMASK] and sop, then a causal answer; positions
// of two kinds, each turning half of a head; residuals from the norms, scaled (DeepNorm, Wang et al. 2022).
// b batch, t tokens, d model, h heads, e head dim, f feed-forward
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "models/decoder.h"
#include "models/families.h"
#include "models/hub_config.h"

namespace herd {
namespace {

struct ChatGlmOptions {
  std::int64_t vocab, d, f, layers, h, positions;
  std::int64_t sop, gmask, mask;  // token ids
  double eps, init_std, alpha;
  bool tied;
};

ChatGlmOptions chatglm_options(const nlohmann::json& json) {
  const HubConfig c(json);
  ChatGlmOptions o{};
  o.vocab = c.size("vocab_size");
  o.d = c.size("hidden_size");
  o.layers = c.size_of({"num_layers", "num_hidden_layers"});
  o.h = c.size("num_attention_heads");
  o.f = c.size("inner_hidden_size", 4 * o.d);
  o.positions = c.size("max_sequence_length", 2048);
  const auto id = [&](const char* key, std::int64_t fallback) {  // one left out may lie beyond a small vocabulary: then no text has a prompt
    const auto found = c.get<std::int64_t>(key, fallback);
    if (c.has(key) && (found < 0 || found >= o.vocab))
      throw ConfigError({.who = c.who(key), .found = std::to_string(found), .expected = "a token below vocab_size, " + std::to_string(o.vocab), .remedy = ""});
    return found;
  };
  o.sop = id("bos_token_id", 130004);
  o.gmask = id("gmask_token_id", o.sop - 3);  // as in both releases, of 150,528 and of 130,528 tokens
  o.mask = id("mask_token_id", o.sop - 4);
  o.eps = c.get<double>("layernorm_epsilon", 1e-5);
  o.init_std = c.get<double>("initializer_range", 0.02);
  o.alpha = c.get<double>("deepnorm_alpha", std::sqrt(2.0 * static_cast<double>(o.layers)));  // to be given where layers were cut off
  o.tied = c.get<bool>("tie_word_embeddings", false);
  c.need_multiple("hidden_size", o.d, 4 * o.h, "four times num_attention_heads");
  c.need("position_encoding_2d", true);
  return o;
}

// To RoPE each half of a head is a head of its own, and a token's two positions are two tokens: [b, 2t, h, e/2].
Tensor turn_halves(const Tensor& x_bthe, const RopeTable& both) {
  const auto halves = x_bthe.unflatten(-1, {2, -1}).transpose(2, 3).flatten(1, 2);
  return rope(halves, both).unflatten(1, {-1, 2}).transpose(2, 3).flatten(-2);
}

struct ChatGlmBlock final : Block {
  explicit ChatGlmBlock(const ChatGlmOptions& o)
      : attention_norm(o.d, o.eps), mlp_norm(o.d, o.eps), qkv(o.d, 3 * o.d, true, "heads", "embed"), dense(o.d, o.d, true, "embed", "heads"),
        up(o.d, o.f, true, "ffn", "embed"), down(o.f, o.d, true, "embed", "ffn"), h(o.h), alpha(o.alpha) {}

  Tensor forward(const Tensor& x_btd, const Context& ctx) override {
    const auto a_btd = attention_norm(x_btd);
    const auto qkv_bth3e = qkv(a_btd).unflatten(-1, {h, 3, -1});
    const auto q_bthe = turn_halves(qkv_bth3e.select(3, 0), ctx.rope), k_bthe = turn_halves(qkv_bth3e.select(3, 1), ctx.rope);
    const auto seen_btd = dense(attention(q_bthe, k_bthe, qkv_bth3e.select(3, 2), ctx.attention, ctx.cache, ctx.layer));
    const auto m_btd = mlp_norm(a_btd * alpha + seen_btd);
    return m_btd * alpha + down(gelu_tanh(up(m_btd)));
  }

  void visit(Visitor& v) override {
    v("input_layernorm", attention_norm);
    v("attention.query_key_value", qkv);
    v("attention.dense", dense);
    v("post_attention_layernorm", mlp_norm);
    v("mlp.dense_h_to_4h", up);
    v("mlp.dense_4h_to_h", down);
  }

  LayerNorm attention_norm, mlp_norm;  // [d]
  Linear qkv, dense;                   // [h*3*e, d] [d, h*e]
  Linear up, down;                     // [f, d] [d, f]
  std::int64_t h;
  double alpha;
};

// The two positions of a token: where it stands up to sop, from there on where the mask token stands; 0 up to sop, then 1, 2, …
struct Positions {
  Tensor token_bt, block_bt;
  std::vector<std::int64_t> prefixes;  // a segment's: the tokens before its sop
};

class ChatGlm final : public Decoder<LayerNorm> {
 public:
  explicit ChatGlm(const ChatGlmOptions& o)
      : Decoder({.vocab_size = o.vocab, .hidden_size = o.d, .max_positions = o.positions, .kv_heads = o.h, .head_dim = o.d / o.h,
                 .tied = o.tied, .init_std = o.init_std, .prefix_has_positions = false, .sees_ahead = true},
                o.eps, {"transformer.word_embeddings", "transformer.layers", "transformer.final_layernorm", "lm_head"}),
        options_(o), rope_{.dim = o.d / o.h / 2, .max_positions = o.positions} {
    for (std::int64_t i = 0; i < o.layers; ++i) blocks.push_back(std::make_unique<ChatGlmBlock>(o));
  }

  Context context(const Batch& batch, KvCache* cache) const override {
    const bool goes_on = cache && !cache->empty();
    const auto positions = goes_on ? following(batch, *cache) : beginning(batch);
    Context ctx{.attention = attention_layout(batch), .rope = both_halves(positions, batch), .cache = cache};
    if (goes_on) return ctx;
    ctx.attention.prefixes = positions.prefixes;
    if (cache) remember(batch, positions, *cache);
    return ctx;
  }

 private:
  Positions beginning(const Batch& batch) const {
    const auto tokens = batch.tokens_bt.is_meta() ? batch.tokens_bt : batch.tokens_bt.cpu();  // of meta ones nobody can see a sop
    Positions p{at::zeros_like(tokens), at::zeros_like(tokens), {}};
    for (const auto& s : batch.segments) {
      const auto* ids = tokens.is_meta() ? nullptr : tokens.const_data_ptr<std::int64_t>() + s.row * tokens.size(1) + s.begin;
      const auto find = [&](std::int64_t id) { return ids ? std::find(ids, ids + s.length(), id) - ids : s.length(); };
      const auto sop = find(options_.sop);
      const auto prefix = sop == s.length() ? 0 : sop;  // a text without sop is an answer to nothing
      p.prefixes.push_back(prefix);
      if (!ids) continue;
      const auto gmask = find(options_.gmask), mask = gmask < s.length() ? gmask : find(options_.mask);
      if (sop < s.length() && mask == s.length())
        throw DataError({.who = "a text of ChatGLM",
                         .found = fmt::format("sop ({}) at token {} and neither [gMASK] ({}) nor [MASK] ({})", options_.sop, sop, options_.gmask, options_.mask),
                         .expected = "one of them, whose place the answer's tokens take",
                         .remedy = "are bos_token_id, gmask_token_id and mask_token_id in config.json those of its tokenizer?"});
      auto* token = p.token_bt.mutable_data_ptr<std::int64_t>() + s.row * tokens.size(1) + s.begin;
      auto* block = p.block_bt.mutable_data_ptr<std::int64_t>() + s.row * tokens.size(1) + s.begin;
      for (std::int64_t i = 0; i < s.length(); ++i) {
        token[i] = i < prefix ? i : mask == s.length() ? 0 : mask;
        block[i] = i < prefix ? 0 : i - prefix + 1;
      }
    }
    return p;
  }

  // Tokens that are generated, one a row: the position of the mask stays, the block's goes on.
  Positions following(const Batch& batch, const KvCache& cache) const {
    Positions p{at::zeros_like(batch.tokens_bt), at::zeros_like(batch.tokens_bt), {}};
    for (std::int64_t row = 0; row < batch.rows(); ++row) {
      const auto& text = *cache.texts[static_cast<std::size_t>(row)];
      p.token_bt[row].fill_(text.mark);
      p.block_bt[row].copy_(at::arange(text.length, text.length + batch.length()) - text.prefix + 1);
    }
    return p;
  }

  static void remember(const Batch& batch, const Positions& positions, KvCache& cache) {
    for (std::size_t i = 0; i < batch.segments.size(); ++i) {
      const auto& s = batch.segments[i];
      if (s.length() == 0) continue;
      auto& text = *cache.texts[static_cast<std::size_t>(s.row)];
      text.prefix = positions.prefixes[i];
      text.mark = positions.token_bt[s.row][s.end - 1].item<std::int64_t>();
    }
  }

  // [b, 2t, e/4]: a token's two positions one after the other.
  RopeTable both_halves(const Positions& p, const Batch& batch) const {
    return rope_table(rope_, at::stack({p.token_bt, p.block_bt}, 2).flatten(1).to(batch.tokens_bt.device()));
  }

  ChatGlmOptions options_;
  RopeOptions rope_;
};

}  // namespace

std::unique_ptr<CausalLm> make_chatglm(const nlohmann::json& config) { return std::make_unique<ChatGlm>(chatglm_options(config)); }

}  // namespace herd
