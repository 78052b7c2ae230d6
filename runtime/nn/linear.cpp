#include "runtime/nn/linear.h"

#include "runtime/base/error.h"
#include "runtime/nn/matmul.h"

namespace herd {
namespace {

class DenseWeight final : public WeightStorage {
 public:
  DenseWeight(std::int64_t in, std::int64_t out, std::string out_axis, std::string in_axis)
      : weight({out, in}, {std::move(out_axis), std::move(in_axis)}) {}
  Tensor multiply(const Tensor& x) override { return matmul_transposed(x, weight.value); }
  Tensor input_gradient(const Tensor& grad) override { return frozen_input_gradient(grad, weight.value); }
  Tensor dense() const override { return weight.value.detach().to(at::kFloat); }
  void visit(Visitor& v) override { v("weight", weight); }

  Parameter weight;
};

}  // namespace

Tensor LinearSlot::base_and_delta(WeightStorage& base, const Tensor& x) {
  const auto y = base.multiply(in(x));
  const auto change = delta(x);
  return change.defined() ? y + change : y;
}

Linear::Linear(std::int64_t in_features, std::int64_t out_features, bool with_bias, std::string out_axis, std::string in_axis)
    : in_(in_features), out_(out_features) {
  if (with_bias) bias_ = Parameter({out_features}, {out_axis}, Init::kZeros);
  storage_ = std::make_unique<DenseWeight>(in_features, out_features, std::move(out_axis), std::move(in_axis));
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

void Linear::visit(Visitor& v) {
  storage_->visit(v);
  v("bias", bias_);
  if (slot_) slot_->visit(v);
}

}  // namespace herd
