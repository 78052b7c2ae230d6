// AdaLoRA's course: Zhang et al. 2023, sections 3.2 (sensitivity), 3.1 (regulariser) and 3.3 (budget), in the form that PEFT computes.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "peft/adalora.h"
#include "peft/peft_options.h"
#include "peft/select.h"
#include "peft/step_rule.h"
#include "runtime/base/error.h"
#include "runtime/nn/causal_lm.h"

namespace herd {
namespace {

enum class Part { kA, kE, kB };

// A parameter of an updated layer, [r, in], [r, 1] or [out, r].
struct Place {
  std::size_t layer;
  Part part;
};

struct UpdatedLayer {
  std::string name;
  std::int64_t r = 0, first = 0;  // its ranks' places among those of all layers
};

class RankBudget final : public StepRule {
 public:
  RankBudget(CausalLm& model, const PeftOptions& o, std::span<Slice> slices, std::int64_t total_steps) : options_(o), slices_(slices), total_(total_steps) {
    for (auto* p : trained_parameters(model)) add(*p);
    for (const auto& layer : layers_) ranks_ += layer.r;
    target_ = std::min(ranks_, o.target_r * static_cast<std::int64_t>(layers_.size()));
    kept_.assign(static_cast<std::size_t>(ranks_), true);
    for (const auto& slice : slices) {
      const bool counts = places_.contains(slice.parameter);
      for (auto* states : {&sensitivity_, &uncertainty_}) states->push_back(counts ? at::zeros_like(slice.grad) : Tensor());
    }
    if (o.tinit >= total_ - o.tfinal)
      throw ConfigError({.who = "peft.tinit, peft.tfinal",
                         .found = std::to_string(o.tinit) + " and " + std::to_string(o.tfinal) + " steps of a run of " + std::to_string(total_),
                         .expected = "steps between them in which ranks are given up",
                         .remedy = "lower them, or train longer"});
  }

  void add_to_gradients(std::span<Slice> slices, double scale) override;
  void updated(std::span<Slice> slices, std::int64_t step, const std::function<void(Tensor&)>& sum) override;
  void restrict(const Slice& slice, const Tensor& value) const override;

  void for_each_state(const std::function<void(const Slice&, const std::string&, Tensor&)>& f) override {
    for (std::size_t i = 0; i < slices_.size(); ++i) {
      if (!sensitivity_[i].defined()) continue;
      f(slices_[i], "sensitivity", sensitivity_[i]);
      f(slices_[i], "uncertainty", uncertainty_[i]);
    }
  }
  std::string state() const override;
  void restore(const std::string& state) override;

 private:
  void add(Parameter& p) {
    const auto dot = p.name.rfind(".lora_");
    if (dot == std::string::npos) return;
    const auto start = std::string_view(kPeftPrefix).size();
    const auto name = p.name.substr(start, dot - start);
    if (layers_.empty() || layers_.back().name != name) layers_.push_back({name});
    const auto part = p.name.back() == 'A' ? Part::kA : p.name.back() == 'E' ? Part::kE : Part::kB;
    places_[&p] = {layers_.size() - 1, part};
    if (part != Part::kE) return;
    layers_.back().r = p.value.size(0);
    layers_.back().first = layers_.size() > 1 ? layers_[layers_.size() - 2].first + layers_[layers_.size() - 2].r : 0;
  }
  // The place among all ranks of each of a slice's elements.
  Tensor ranks_of(const Slice& slice, const Place& place) const {
    const auto at = at::arange(slice.begin, slice.end, at::kLong), width = at::scalar_tensor(slice.parameter->value.size(-1), at::kLong);
    const auto& layer = layers_[place.layer];
    return layer.first + (place.part == Part::kB ? at::remainder(at, width) : at::div(at, width, "floor"));
  }
  std::int64_t budget(std::int64_t step) const;
  void watch(std::span<Slice> slices);
  void choose(std::int64_t budget, const std::function<void(Tensor&)>& sum);

  PeftOptions options_;
  std::span<Slice> slices_;
  std::int64_t total_, ranks_ = 0, target_ = 0;
  std::vector<UpdatedLayer> layers_;
  std::map<const Parameter*, Place> places_;
  std::vector<Tensor> sensitivity_, uncertainty_;  // one a slice, Ī and Ū of the paper; undefined for other parameters
  std::vector<bool> kept_;                         // by the last choice
  bool restricts_ = false, final_ = false;         // this step is a choice's; the last one is made
};

// ‖A·Aᵀ − I‖ and ‖Bᵀ·B − I‖, a mean over all such matrices; the gradient of ‖M‖ is M / ‖M‖. Each rank adds to the parts that it updates.
void RankBudget::add_to_gradients(std::span<Slice> slices, double scale) {
  at::NoGradGuard no_grad;
  const double weight = options_.orth_reg_weight / (2 * static_cast<double>(layers_.size()));
  for (auto& slice : slices) {
    const auto found = places_.find(slice.parameter);
    if (found == places_.end() || found->second.part == Part::kE || slice.begin == slice.end) continue;
    const auto value = slice.parameter->value.detach();
    const bool rows = found->second.part == Part::kA;
    auto gram = rows ? value.mm(value.t()) : value.t().mm(value);
    gram.diagonal().sub_(1);
    const auto norm = gram.norm();
    const auto gradient = (rows ? gram.mm(value) : value.mm(gram)) * (2 * weight * scale / norm.clamp_min(1e-30));
    slice.grad.add_(gradient.reshape(-1).narrow(0, slice.begin, slice.end - slice.begin));
  }
}

void RankBudget::updated(std::span<Slice> slices, std::int64_t step, const std::function<void(Tensor&)>& sum) {
  restricts_ = final_;
  if (final_) return;
  if (step < total_ - options_.tfinal) {
    watch(slices);
    if (step > options_.tinit && step % options_.delta_t == 0) choose(budget(step), sum);
  } else {
    choose(target_, sum);
    final_ = true;
  }
}

// A cubic fall from the first budget to the last (Zhang et al. 2023, equation 12).
std::int64_t RankBudget::budget(std::int64_t step) const {
  const auto left = 1 - static_cast<double>(step - options_.tinit) / static_cast<double>(total_ - options_.tfinal - options_.tinit);
  return static_cast<std::int64_t>(static_cast<double>(ranks_ - target_) * (left * left * left) + static_cast<double>(target_));
}

// Equations 8 to 10: |w·∂L/∂w|, smoothed, and how much it varies.
void RankBudget::watch(std::span<Slice> slices) {
  at::NoGradGuard no_grad;
  for (std::size_t i = 0; i < slices.size(); ++i) {
    if (!sensitivity_[i].defined()) continue;
    const auto now = (slices[i].value.detach().to(slices[i].grad.device()) * slices[i].grad).abs_();
    sensitivity_[i].mul_(options_.beta1).add_(now, 1 - options_.beta1);
    uncertainty_[i].mul_(options_.beta2).add_((now - sensitivity_[i]).abs_(), 1 - options_.beta2);
  }
}

// A rank's score: its singular value's, and the means of its two vectors' (equation 11). The lowest go, over all layers.
void RankBudget::choose(std::int64_t budget, const std::function<void(Tensor&)>& sum) {
  at::NoGradGuard no_grad;
  auto scores = at::zeros({ranks_}, at::kDouble);
  for (std::size_t i = 0; i < slices_.size(); ++i) {
    if (!sensitivity_[i].defined() || slices_[i].begin == slices_[i].end) continue;
    const auto& place = places_.at(slices_[i].parameter);
    const auto& sizes = slices_[i].parameter->value.sizes();
    const auto elements = place.part == Part::kE ? 1 : place.part == Part::kA ? sizes[1] : sizes[0];
    const auto score = (sensitivity_[i] * uncertainty_[i]).to(at::kCPU, at::kDouble) / static_cast<double>(elements);
    scores.index_add_(0, ranks_of(slices_[i], place), score);
  }
  sum(scores);
  const auto gone = ranks_ - budget;
  restricts_ = true;
  kept_.assign(static_cast<std::size_t>(ranks_), true);
  if (gone <= 0) return;
  const auto threshold = std::get<0>(at::kthvalue(scores, gone)).item<double>();
  const auto* score = scores.const_data_ptr<double>();
  for (std::int64_t i = 0; i < ranks_; ++i) kept_[static_cast<std::size_t>(i)] = score[i] > threshold;
}

// Between two choices a singular value that was given up may come back; after the last one it may not.
void RankBudget::restrict(const Slice& slice, const Tensor& value) const {
  const auto found = places_.find(slice.parameter);
  if (!restricts_ || found == places_.end() || found->second.part != Part::kE) return;
  const auto first = layers_[found->second.layer].first + slice.begin;
  for (std::int64_t i = 0; i < slice.end - slice.begin; ++i)
    if (!kept_[static_cast<std::size_t>(first + i)]) value[i].zero_();
}

std::string RankBudget::state() const {
  nlohmann::ordered_json json{{"total_steps", total_}, {"final", final_}, {"kept", nlohmann::ordered_json::object()}};
  for (const auto& layer : layers_) {
    // Of the ranks that a folder began with, where it had given up some already.
    const auto before = options_.kept_ranks.find(layer.name);
    std::vector<bool> kept = before == options_.kept_ranks.end() ? std::vector<bool>(static_cast<std::size_t>(layer.r), true) : before->second;
    auto rank = static_cast<std::size_t>(layer.first);
    for (std::size_t i = 0; i < kept.size(); ++i)
      if (kept[i]) kept[i] = kept_[rank++];
    json["kept"][layer.name] = kept;
  }
  return json.dump();
}

void RankBudget::restore(const std::string& state) {
  const auto refuse = [](const std::string& found) {
    throw DataError({.who = "the checkpoint's ranks", .found = found, .expected = "what herd wrote of this adapter", .remedy = "take another checkpoint"});
  };
  try {
    const auto json = nlohmann::json::parse(state);
    std::vector<bool> kept;
    for (const auto& layer : layers_) {
      const auto stored = json.at("kept").at(layer.name).get<std::vector<bool>>();
      const auto before = options_.kept_ranks.find(layer.name);
      for (std::size_t i = 0; i < stored.size(); ++i)
        if (before == options_.kept_ranks.end() || before->second.at(i)) kept.push_back(stored[i]);
    }
    if (kept.size() != kept_.size()) refuse(std::to_string(kept.size()) + " ranks, not " + std::to_string(kept_.size()));
    kept_ = std::move(kept);
    final_ = json.at("final");
  } catch (const nlohmann::json::exception& e) {
    refuse(e.what());
  }
}

}  // namespace

std::unique_ptr<StepRule> adalora_rule(CausalLm& model, const PeftOptions& options, std::span<Slice> slices, std::int64_t total_steps) {
  return std::make_unique<RankBudget>(model, options, slices, total_steps);
}

void take_adalora_state(const std::string& state, PeftOptions& options) {
  const auto json = nlohmann::json::parse(state);
  options.total_steps = json.at("total_steps");
  options.kept_ranks.clear();
  if (json.at("final")) json.at("kept").get_to(options.kept_ranks);
}

}  // namespace herd
