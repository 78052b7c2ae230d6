#include "parallel/ddp.h"

#include <cmath>

#include "parallel/pass.h"

namespace herd {
namespace {

constexpr std::int64_t kAlign = 16;  // elements: every parameter starts on 64 bytes

class Ddp final : public Strategy {
 public:
  explicit Ddp(const StrategyContext& c)
      : model_(c.model), communicator_(c.communicator), bucket_elements_(c.options.bucket_bytes / 4), pass_{c.model, c.recompute, {}} {
    std::int64_t total = 0;
    for (Unit unit = 0; unit < unit_count(model_); ++unit) {
      for (auto* p : unit_parameters(model_, unit)) {
        if (!p->trainable) continue;
        slices_.push_back({.parameter = p, .begin = 0, .end = p->value.numel(), .value = p->value.detach().view(-1)});
        offsets_.push_back(total);
        total += (p->value.numel() + kAlign - 1) / kAlign * kAlign;
      }
      units_.push_back({slices_.size(), total});
    }
    gradients_ = at::zeros({total}, at::kFloat);
    for (std::size_t i = 0; i < slices_.size(); ++i) slices_[i].grad = gradients_.narrow(0, offsets_[i], slices_[i].end);
  }

  double forward_backward(const Batch& batch, double scale, bool last) override {
    begin_step();
    pass_.unit_done = [&](Unit unit) {
      collect(unit);
      if (!last) return;
      look_for_fault(unit);
      reduce_until(units_[unit].elements, bucket_elements_);
    };
    const auto loss = pass_.forward_backward(batch, scale).sum;
    if (!std::isfinite(loss)) fault_ = Fault{"the loss"};
    fresh_ = false;
    return loss;
  }

  void finish_gradients() override {
    begin_step();
    if (fresh_) gradients_.zero_();
    // A rank that had no micro-batch cuts the buffer where the others did.
    for (const auto& unit : units_) reduce_until(unit.elements, bucket_elements_);
    reduce_until(gradients_.numel(), 1);
    for (auto& work : works_) work.wait();
    works_.clear();
    open_ = false;
  }

  const std::optional<Fault>& fault() const override { return fault_; }

  double gradient_norm() override {
    double squares = 0;
    for (const auto& slice : slices_) squares += std::pow(at::linalg_vector_norm(slice.grad).item<double>(), 2);
    return std::sqrt(squares);
  }
  void scale_gradients(double factor) override { gradients_.mul_(factor); }
  std::span<Slice> slices() override { return slices_; }
  void values_changed() override {}

 private:
  struct UnitEnd {
    std::size_t slices;     // the unit's slices end here
    std::int64_t elements;  // and so does its part of the buffer
  };

  void begin_step() {
    if (open_) return;
    open_ = fresh_ = true;
    reduced_ = 0;
    fault_.reset();
  }

  std::span<Slice> slices_of(Unit unit) {
    const auto begin = unit == 0 ? 0 : units_[unit - 1].slices;
    return std::span(slices_).subspan(begin, units_[unit].slices - begin);
  }

  // Autograd's gradients are freed as soon as they are in the buffer.
  void collect(Unit unit) {
    at::NoGradGuard no_grad;
    for (auto& slice : slices_of(unit)) {
      auto& grad = slice.parameter->value.mutable_grad();
      if (!grad.defined()) {
        if (fresh_) slice.grad.zero_();
        continue;
      }
      const auto flat = grad.reshape(-1);
      fresh_ ? slice.grad.copy_(flat) : slice.grad.add_(flat);
      grad.reset();
    }
  }

  // The sum over ranks would hide whose it was. A sum is not finite where one of its terms is not; the other way round is looked into.
  void look_for_fault(Unit unit) {
    for (auto& slice : slices_of(unit)) {
      if (fault_ || std::isfinite(slice.grad.sum().item<float>())) continue;
      if (!at::isfinite(slice.grad).all().item<bool>()) fault_ = Fault{slice.parameter->name};
    }
  }

  void reduce_until(std::int64_t ready, std::int64_t at_least) {
    if (ready - reduced_ < at_least) return;
    works_.push_back(communicator_.all_reduce(gradients_.narrow(0, reduced_, ready - reduced_)));
    reduced_ = ready;
  }

  CausalLm& model_;
  Communicator& communicator_;
  std::int64_t bucket_elements_;
  Pass pass_;
  std::vector<Slice> slices_;
  std::vector<std::int64_t> offsets_;
  std::vector<UnitEnd> units_;
  Tensor gradients_;  // flat, fp32, in the order of the backward
  bool open_ = false;   // a step's gradients are being gathered
  bool fresh_ = true;   // nothing is in the buffer yet
  std::int64_t reduced_ = 0;
  std::vector<Work> works_;
  std::optional<Fault> fault_;
};

}  // namespace

std::unique_ptr<Strategy> make_ddp(const StrategyContext& context) { return std::make_unique<Ddp>(context); }

}  // namespace herd
