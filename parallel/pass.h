#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "runtime/nn/causal_lm.h"
#include "runtime/nn/loss.h"

namespace herd {

/// A stretch of the model whose forward and backward run as one: the head with the final norm, a block, the embedding, or the producer of a
/// side input. Units count in the order of the backward: 0 is the head, 1 the last block, blocks.size() the first one, then the embedding
/// and last, where the model has one, the producer: its gradient is the sum of what all others leave.
using Unit = std::size_t;

std::size_t unit_count(const CausalLm& model);
/// The parameters of a unit, in the model's order.
std::vector<Parameter*> unit_parameters(CausalLm& model, Unit unit);
/// The units whose parameters a unit's computation reads: itself, and the embedding where the head is tied to it.
std::vector<Unit> units_read_by(const CausalLm& model, Unit unit);

enum class Phase { kForward, kBackward };

/// Who wants to know where a pass stands. Calls depend on the model and on what is trainable alone, never on a rank's batch: ranks may
/// communicate in them.
class PassListener {
 public:
  virtual ~PassListener() = default;
  /// The unit's parameters are about to be read. Not called for a backward that reads none.
  virtual void enter(Unit, Phase) {}
  /// They are not read any more in this phase. kBackward is told of every unit, in order: its parameters hold this micro-batch's gradients.
  /// The head's forward and backward are one: enter(0, kForward), leave(0, kBackward).
  virtual void leave(Unit, Phase) {}
};

/// Forward and backward of a micro-batch. Autograd ends at each block's edge: blocks run on detached inputs and backward is
/// called on them one by one, in reverse, which gives the bits of the whole graph's backward. A batch without rows computes nothing and
/// tells the listener the same.
class Pass {
 public:
  /// @param recompute_every one block in so many keeps its input alone and runs its forward again before its backward (Chen et al. 2016);
  /// 0: none. What is trainable must not change afterwards.
  explicit Pass(CausalLm& model, std::int64_t recompute_every = 0, PassListener* listener = nullptr);

  /// @param scale factor of the gradient: 1 / supervised tokens of the global batch, times the loss scale.
  /// @return summed loss and tokens. Gradients lie in `value.grad()` of the trainable parameters; leaves without one got none.
  LossResult forward_backward(const Batch& batch, double scale);
  /// Without gradients, as is the next.
  LossResult forward_loss(const Batch& batch);
  /// CausalLm::next_logits; undefined for a batch without rows.
  Tensor next_logits(const Batch& batch, KvCache& cache);

  /// The units in the order in which the two calls above enter them.
  std::vector<Unit> training_walk() const;
  std::vector<Unit> evaluation_walk() const;

 private:
  std::size_t blocks() const { return model_.blocks.size(); }
  Unit embedding() const { return blocks() + 1; }
  Unit producer() const { return blocks() + 2; }
  Unit unit_of(std::size_t block) const { return blocks() - block; }
  bool recomputes(std::size_t block) const;
  LossResult head_loss(const Tensor& hidden_btd, const Batch& batch, double scale, bool training);
  /// What the blocks see of a batch, and the embedding's output.
  Tensor begin(const Batch& batch, bool computes, bool training, KvCache* cache = nullptr);
  Tensor forward_blocks(const Batch& batch, KvCache* cache = nullptr);
  void end();
  void backward_of_block(std::size_t block, Tensor& grad, bool computes);

  CausalLm& model_;
  std::int64_t recompute_every_;
  PassListener* listener_;
  std::vector<bool> input_learns_;     ///< a block's input needs a gradient: something before it learns; the last entry is the head's
  bool embedding_backward_reads_ = true;
  bool side_learns_ = false;
  SideLeaves leaves_;                  // of the micro-batch under way, as is what follows
  Batch seen_;
  Context context_;
  std::vector<Tensor> inputs_, outputs_;
};

/// The summed loss of a batch, without gradients.
LossResult forward_loss(CausalLm& model, const Batch& batch);

}  // namespace herd
