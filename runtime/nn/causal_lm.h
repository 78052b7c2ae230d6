#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "runtime/nn/attention.h"
#include "runtime/nn/batch.h"
#include "runtime/nn/layers.h"
#include "runtime/nn/rope.h"
#include "runtime/nn/side_input.h"

namespace herd {

/// What keys a micro-batch's random numbers. Adapters hold the model's one; the trainer sets it before each micro-batch.
struct RandomKeys {
  bool training = false;
  std::uint64_t seed = 0;
  std::int64_t step = 0;
  std::vector<std::int64_t> row_ids;  ///< rows of the micro-batch in the global batch
  double neftune_alpha = 0;           ///< of the noise in the embeddings, in training (embedding_noise.h); 0: none
};

/// Everything a block needs beside x: positions' angles, who attends to whom, the cache.
struct Context {
  AttentionLayout attention;
  RopeTable rope;
  KvCache* cache = nullptr;
  std::int64_t layer = 0;
};

/// One layer of the stack: x [b, t, d] → [b, t, d].
class Block {
 public:
  virtual ~Block() = default;
  virtual Tensor forward(const Tensor& x_btd, const Context& ctx) = 0;
  virtual void visit(Visitor& v) = 0;
};

/// Facts about a model that others need.
struct ModelFacts {
  std::string family;
  std::int64_t vocab_size = 0, hidden_size = 0, max_positions = 0;
  std::int64_t kv_heads = 0, head_dim = 0;
  bool tied = false;                  ///< the head is the embedding matrix
  double init_std = 0.02;
  bool prefix_has_positions = true;   ///< keys and values before a text take the positions before its own; false: none (ChatGLM)
  bool sees_ahead = false;            ///< a prompt's tokens see later ones of it: it is read whole (ChatGLM)
};

/// A causal language model as four parts. It knows nothing of ranks, adapters or quantisation.
class CausalLm {
 public:
  virtual ~CausalLm() = default;

  /// The embedding's rows of tokens: [b, t, d].
  virtual Tensor look_up(const Tensor& tokens_bt) = 0;
  /// What the first block is given of them, with positions where a family learns those. @param seen whose positions they stand at.
  virtual Tensor enter(const Tensor& x_btd, const Batch& /*seen*/) { return x_btd; }
  virtual Tensor final_norm(const Tensor& x_btd) = 0;
  virtual Linear& head() = 0;
  /// What all blocks share for one micro-batch.
  virtual Context context(const Batch& batch, KvCache* cache = nullptr) const = 0;

  /// Parts in order, under their Hugging Face names. A tied head is not visited: its matrix is the embedding's.
  virtual void visit_embedding(Visitor& v) = 0;
  virtual void visit_head(Visitor& v) = 0;  ///< final norm and head
  virtual std::string block_name(std::size_t index) const = 0;
  void visit(Visitor& v);

  std::vector<std::unique_ptr<Block>> blocks;
  ModelFacts facts;
  std::shared_ptr<RandomKeys> random = std::make_shared<RandomKeys>();
  std::unique_ptr<SideInput> side;  ///< what a PEFT method puts before each segment; none: nothing

  /// Makes a tied head share the embedding's tensor; called after every change of storage.
  virtual void tie() {}

  bool has_virtual_tokens() const { return side && side->kind() == SideInput::Kind::kTokens; }
  bool has_prefix() const { return side && side->kind() == SideInput::Kind::kKeysAndValues; }
  /// The batch as the blocks see it, beside the side input: longer, or further on. @param first of its texts' tokens are not in a cache yet.
  Batch beside(const Batch& batch, bool first = true) const;
  /// context() of what beside() gave, with the side input's keys and values.
  Context context_beside(const Batch& seen, const SideLeaves& leaves, KvCache* cache = nullptr) const;
  /// The first block's input: of a batch, and what beside() gave of it.
  Tensor embed(const Batch& batch, const Batch& seen, const SideLeaves& leaves);
  SideLeaves side_leaves(bool learns);

  /// All logits [b, t, vocab] in the model's dtype: for generation and tests. Training never holds them.
  Tensor logits(const Batch& batch, KvCache* cache = nullptr);
  /// Logits of what follows each row's last token, fp32 [b, vocab]: the head never sees a whole prompt. Every row is one text, none padded.
  Tensor next_logits(const Batch& batch, KvCache& cache);
  /// The same of what left the last block, [b, t, d].
  Tensor last_logits(const Tensor& x_btd);
  /// The last hidden state [b, t, d] before the final norm, of the batch's own tokens.
  Tensor hidden(const Batch& batch, KvCache* cache = nullptr);
};

/// Writes each parameter's name into it.
void assign_names(CausalLm& model);
/// Gives the parameters of a model on the meta device their dtype.
void set_dtype(CausalLm& model, at::ScalarType dtype);
/// Gives every parameter that is still on the meta device its values, moves all to `device` that are not there, then ties.
void fill(CausalLm& model, const ReadParameter& read, at::Device device = at::kCPU);
/// Gives storage to every parameter that is on the meta device, then ties.
void materialise(CausalLm& model, at::ScalarType dtype);
/// Random weights for every parameter, keyed by (seed, name).
void initialise(CausalLm& model, std::uint64_t seed);
/// A batch of one plain row, all tokens one segment.
Batch plain_batch(const std::vector<std::vector<std::int64_t>>& rows, std::int64_t pad = 0);

}  // namespace herd
