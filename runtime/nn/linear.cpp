#include "runtime/nn/linear.h"

#include "runtime/base/error.h"
#include "runtime/nn/matmul.h"

namespace herd {
namespace {

class DenseWeight final : public WeightStorage {
 public:
  DenseWeight(Parameter matrix, WeightLayout layout) : weight(std::move(matrix)), transposed_(layout == WeightLayout::kInOut) {}
  Tensor multiply(const Tensor& x) override { return matmul_transposed(x, matrix()); }
  Tensor input_gradient(const Tensor& grad) override { return frozen_input_gradient(grad, matrix()); }
  Tensor dense() const override { return matrix().detach().to(at::kFloat).contiguous(); }
  void visit(Visitor& v) override { v("weight", weight); }

  /// [out, in], on the parameter's own memory.
  Tensor matrix() const { return transposed_ ? weight.value.t() : weight.value; }

  Parameter weight;

 private:
  bool transposed_;
};

}  // namespace

Tensor LinearSlot::base_and_delta(WeightStorage& base, const Tensor& x) {
  const auto y = base.multiply(in(x));
  const auto change = delta(x);
  return change.defined() ? y + change : y;
}

Linear::Linear(std::int64_t in_features, std::int64_t out_features, bool with_bias, std::string out_axis, std::string in_axis, WeightLayout layout)
    : in_(in_features), out_(out_features), layout_(layout) {
  if (with_bias) bias_ = Parameter({out_}, {out_axis}, Init::kZeros);
  auto matrix = layout == WeightLayout::kInOut ? Parameter({in_, out_}, {in_axis, out_axis}) : Parameter({out_, in_}, {out_axis, in_axis});
  storage_ = std::make_unique<DenseWeight>(std::move(matrix), layout);
}

Tensor Linear::operator()(const Tensor& x) {
  if (!slot_) {
    auto y = storage_->multiply(x);
    return bias_.defined() ? y + bias_.value : y;
  }
  auto y = slot_->out(slot_->base_and_delta(*storage_, x));
  if (bias_.defined()) y = y + bias_.value;
  return slot_->after(y);
}

bool Linear::has_dense_weight() const { return dynamic_cast<const DenseWeight*>(storage_.get()) != nullptr; }

Parameter& Linear::weight() {
  if (auto* dense = dynamic_cast<DenseWeight*>(storage_.get())) return dense->weight;
  throw ShapeError({.who = "linear layer", .found = "a quantised weight", .expected = "a dense one", .remedy = ""});
}

void Linear::set_weight(const Tensor& matrix) {
  const at::NoGradGuard no_grad;
  weight().value.copy_(layout_ == WeightLayout::kInOut ? matrix.t() : matrix);
}

void Linear::visit(Visitor& v) {
  storage_->visit(v);
  v("bias", bias_);
  if (slot_) slot_->visit(v);
}

}  // namespace herd
