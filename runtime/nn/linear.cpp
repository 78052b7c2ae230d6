#include "runtime/nn/linear.h"

#include "runtime/base/error.h"
#include "runtime/nn/matmul.h"
#include "runtime/nn/quantised_weight.h"

namespace herd {
namespace {

// The dense matrix, until a quantised storage takes its place. Its parameter stays: on the meta device, as what values are read by.
class Weight final : public WeightStorage {
 public:
  Weight(Parameter dense, WeightLayout layout) : parameter(std::move(dense)), transposed_(layout == WeightLayout::kInOut) {}
  Tensor multiply(const Tensor& x) override { return quantised ? quantised->multiply(x) : matmul_transposed(x, matrix()); }
  Tensor input_gradient(const Tensor& grad) override { return quantised ? quantised->input_gradient(grad) : frozen_input_gradient(grad, matrix()); }
  Tensor dense() const override { return quantised ? quantised->dense() : matrix().detach().to(at::kFloat).contiguous(); }
  double input_rounding() const override { return quantised ? quantised->input_rounding() : 0; }
  void visit(Visitor& v) override { quantised ? quantised->visit(v) : v("weight", parameter); }

  /// [out, in], on the parameter's own memory.
  Tensor matrix() const { return transposed_ ? parameter.value.t() : parameter.value; }

  Parameter parameter;
  std::unique_ptr<QuantisedWeight> quantised;

 private:
  bool transposed_;
};

Weight& weight_of(Linear& linear) { return static_cast<Weight&>(linear.storage()); }

}  // namespace

Tensor LinearSlot::base_and_delta(WeightStorage& base, const Tensor& x) {
  const auto y = base.multiply(in(x));
  const auto change = delta(x);
  return change.defined() ? y + change : y;
}

Linear::Linear(std::int64_t in_features, std::int64_t out_features, bool with_bias, std::string out_axis, std::string in_axis, WeightLayout layout)
    : in_(in_features), out_(out_features), layout_(layout) {
  if (with_bias) bias_ = Parameter({out_}, {out_axis}, Init::kZeros);
  auto dense = layout == WeightLayout::kInOut ? Parameter({in_, out_}, {in_axis, out_axis}) : Parameter({out_, in_}, {out_axis, in_axis});
  storage_ = std::make_unique<Weight>(std::move(dense), layout);
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

bool Linear::has_dense_weight() const { return !static_cast<const Weight&>(*storage_).quantised; }

Parameter& Linear::weight() {
  if (has_dense_weight()) return weight_of(*this).parameter;
  throw ShapeError({.who = "linear layer", .found = "a quantised weight", .expected = "a dense one", .remedy = ""});
}

void keep_quantised(Linear& linear, std::unique_ptr<QuantisedWeight> weight) {
  auto& storage = weight_of(linear);
  storage.quantised = std::move(weight);
  // Its shape and dtype alone are wanted from now on: herd plan would count the rest.
  auto& value = storage.parameter.value;
  if (value.is_meta()) value = at::empty({1}, value.options()).expand(value.sizes());
}

void Linear::set_weight(const Tensor& matrix) {
  const at::NoGradGuard no_grad;
  auto& storage = weight_of(*this);
  if (storage.quantised) materialise(storage.parameter, storage.parameter.value.scalar_type());
  storage.quantised.reset();
  weight().value.copy_(layout_ == WeightLayout::kInOut ? matrix.t() : matrix);
}

void Linear::visit(Visitor& v) {
  storage_->visit(v);
  v("bias", bias_);
  if (slot_) slot_->visit(v);
}

}  // namespace herd
