#pragma once
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "runtime/nn/parameter.h"

namespace herd {

/// How the matrix of a Linear is kept: dense now; int8, nf4 and GPTQ fill the same place later.
class WeightStorage {
 public:
  virtual ~WeightStorage() = default;
  /// x [..., in] → x · Wᵀ [..., out]. Differentiable in x, and in W where it is trainable.
  /// Always a new contiguous tensor.
  virtual Tensor multiply(const Tensor& x) = 0;
  /// grad [..., out] → grad · W [..., in], outside autograd: for a slot that runs the backward of a frozen base together with its own.
  /// Always a new contiguous tensor.
  virtual Tensor input_gradient(const Tensor& grad) = 0;
  /// The matrix [out, in] in fp32, contiguous, for merging and export.
  virtual Tensor dense() const = 0;
  /// The rms of what a product rounds its input by, over the input's own; 0: inputs are taken as they are.
  virtual double input_rounding() const { return 0; }
  virtual void visit(Visitor& v) = 0;
};

/// What a PEFT method puts into a Linear. Every hook has the identity as its default.
/// The forward is y = after(out(base(in(x)) + delta(x)) + bias).
class LinearSlot {
 public:
  virtual ~LinearSlot() = default;
  virtual Tensor in(const Tensor& x) { return x; }
  /// x [..., in] → [..., out]; an undefined tensor adds nothing.
  virtual Tensor delta(const Tensor& /*x*/) { return {}; }
  /// base(in(x)) + delta(x). A method that computes both in fewer passes overrides this whole.
  virtual Tensor base_and_delta(WeightStorage& base, const Tensor& x);
  virtual Tensor out(const Tensor& y) { return y; }
  virtual Tensor after(const Tensor& y) { return y; }
  /// The matrix [out, in], fp32, that alone answers as base and slot do; nullopt where no matrix can.
  virtual std::optional<Tensor> merged(const Tensor& /*weight*/) const { return std::nullopt; }
  virtual void visit(Visitor& v) = 0;
};

/// Which way a dense matrix lies, in memory as in files. Nobody but its storage sees the difference: what crosses the seams is [out, in].
enum class WeightLayout {
  kOutIn,
  kInOut,  ///< transposed: GPT-2's Conv1D
};

/// The one place where weight storage, an adapter and later a tensor-parallel boundary meet.
class Linear {
 public:
  Linear() = default;
  /// @param axes logical names of the output and the input axis.
  Linear(std::int64_t in_features, std::int64_t out_features, bool with_bias, std::string out_axis, std::string in_axis,
         WeightLayout layout = WeightLayout::kOutIn);

  /// x [..., in] → [..., out], in x's dtype.
  Tensor operator()(const Tensor& x);

  std::int64_t in_features() const { return in_; }
  std::int64_t out_features() const { return out_; }

  /// The dense matrix as it lies, see layout(). @throws ShapeError where the storage is not dense.
  Parameter& weight();
  /// Puts a dense matrix in the place of what is kept, in few bits or not, in the dense one's dtype. @param matrix [out, in].
  void set_weight(const Tensor& matrix);
  WeightLayout layout() const { return layout_; }
  bool has_dense_weight() const;
  WeightStorage& storage() { return *storage_; }
  Parameter& bias() { return bias_; }  ///< undefined value where there is none

  /// @return what was there.
  std::unique_ptr<LinearSlot> fill_slot(std::unique_ptr<LinearSlot> slot) { return std::exchange(slot_, std::move(slot)); }
  LinearSlot* slot() { return slot_.get(); }

  void visit(Visitor& v);

 private:
  std::int64_t in_ = 0, out_ = 0;
  WeightLayout layout_ = WeightLayout::kOutIn;
  std::unique_ptr<WeightStorage> storage_;
  Parameter bias_;
  std::unique_ptr<LinearSlot> slot_;
};

}  // namespace herd
