#pragma once
#include <cstdint>
#include <vector>

#include "runtime/nn/batch.h"
#include "runtime/nn/parameter.h"

namespace herd {

/// What a model is told beside its tokens, before each segment: virtual tokens, or keys and values in every layer. A PEFT method fills it; what
/// the numbers are made of (a table, an encoder) is the method's own. Model files know nothing of it.
class SideInput {
 public:
  enum class Kind {
    kTokens,         ///< embeddings that no token has (Lester et al. 2021)
    kKeysAndValues,  ///< seen by every token, made by none (Li & Liang 2021)
  };
  SideInput(Kind kind, std::int64_t length) : kind_(kind), length_(length) {}
  virtual ~SideInput() = default;

  Kind kind() const { return kind_; }
  std::int64_t length() const { return length_; }  ///< tokens, or keys a layer: n
  /// Virtual tokens [n, d]; or [n, 2·L·k·e], layer by layer the keys and then the values. Always a new tensor.
  virtual Tensor produce() = 0;
  virtual void visit(Visitor& v) = 0;

 private:
  Kind kind_;
  std::int64_t length_;
};

/// A side input in one pass. What the blocks read are leaves of autograd, so that the producer's backward is one call after all of theirs.
class SideLeaves {
 public:
  SideLeaves() = default;
  /// Runs the producer. @param heads of keys and values, kKeysAndValues alone. @param learns keeps its graph.
  SideLeaves(SideInput& side, std::int64_t heads, std::int64_t head_dim, bool learns);

  const Tensor& tokens_nd() const { return leaves_.front(); }
  std::vector<Tensor> keys_nke() const { return every_second(0); }  ///< one a layer
  std::vector<Tensor> values_nke() const { return every_second(1); }
  /// From the leaves' gradients into the producer's parameters. Nothing where no leaf has one.
  void backward() const;

 private:
  std::vector<Tensor> every_second(std::size_t first) const;
  Tensor produced_;
  std::vector<Tensor> leaves_;
};

/// The batch with n virtual tokens at the beginning of each segment: labels that are not learnt, positions counted anew, −1 for their ids.
/// What belongs to no segment is left out but for padding on the right.
Batch with_virtual_tokens(const Batch& batch, std::int64_t n);
/// Embeddings [b, t, d] of the batch's tokens in their places of the longer batch, [b, T, d].
Tensor with_virtual_tokens(const Tensor& x_btd, const Tensor& tokens_nd, const Batch& batch, const Batch& longer);
/// Of [b, T, d] what stands at the batch's own tokens: [b, t, d]. At padding: of any place.
Tensor without_virtual_tokens(const Tensor& x_bTd, const Batch& batch, const Batch& longer);

}  // namespace herd
