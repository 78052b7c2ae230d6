#include "launch/quantise_blocks.h"

#include <cmath>

#include "launch/model_files.h"
#include "runtime/nn/gptq_solve.h"
#include "runtime/nn/loss.h"

namespace herd {
namespace {

// Parts of a model with their values, for as long as this lives.
class Borrowed {
 public:
  Borrowed(const LoadedModel& loaded, const std::function<void(Visitor&)>& visit) {
    struct Each final : Visitor {
      void on_parameter(const std::string&, Parameter& p) override { found.push_back(&p); }
      std::vector<Parameter*> found;
    } each;
    visit(each);
    for (auto* p : each.found) {
      meta_.emplace_back(p, p->value);
      fill(*p, loaded.read);
      p->set_trainable(false);
    }
    loaded.model->tie();
  }
  ~Borrowed() {
    for (auto& [p, value] : meta_) p->value = value;
  }
  Borrowed(const Borrowed&) = delete;
  Borrowed& operator=(const Borrowed&) = delete;

 private:
  std::vector<std::pair<Parameter*, Tensor>> meta_;
};

/// Looks at what layers are given. Layers that are given the same tensor share its Hessian.
class Watch {
 public:
  struct Seen {
    Tensor x;  // held, so that no other tensor takes its place
    std::shared_ptr<Hessian> hessian;
  };
  void forget_tensors() { seen_.clear(); }
  void look(const Tensor& x, std::shared_ptr<Hessian>& mine) {
    for (const auto& seen : seen_)
      if (seen.x.is_same(x) && (!mine || mine == seen.hessian)) {
        mine = seen.hessian;
        return;
      }
    if (!mine) mine = std::make_shared<Hessian>();
    mine->add(x);
    seen_.push_back({x, mine});
  }

 private:
  std::vector<Seen> seen_;
};

class WatchingSlot final : public LinearSlot {
 public:
  WatchingSlot(Watch& watch, std::shared_ptr<Hessian>& hessian) : watch_(watch), hessian_(hessian) {}
  Tensor in(const Tensor& x) override {
    watch_.look(x, hessian_);
    return x;
  }
  void visit(Visitor&) override {}

 private:
  Watch& watch_;
  std::shared_ptr<Hessian>& hessian_;
};

/// Windows on their way through the blocks.
class Stream {
 public:
  Stream(CausalLm& model, const TokenWindows& windows) : model_(model) {
    for (const auto& window : windows) {
      auto batch = plain_batch({window});
      batch.labels_bt.copy_(batch.tokens_bt);
      batch.labels_bt.select(1, 0).fill_(kIgnoreLabel);
      x_.push_back(model.enter(model.look_up(batch.tokens_bt), batch));
      batches_.push_back(std::move(batch));
    }
  }
  /// Through one block. @param keep whether its answers are what comes next.
  void pass(std::size_t block, bool keep, const std::function<void()>& after_each = [] {}) {
    for (std::size_t i = 0; i < x_.size(); ++i) {
      auto ctx = model_.context(batches_[i]);
      ctx.layer = static_cast<std::int64_t>(block);
      auto y = model_.blocks[block]->forward(x_[i], ctx);
      if (keep) x_[i] = std::move(y);
      after_each();
    }
  }
  double perplexity() const {
    double sum = 0;
    std::int64_t tokens = 0;
    for (std::size_t i = 0; i < x_.size(); ++i) {
      const auto loss = chunked_loss(x_[i], batches_[i].labels_bt, [&](const Tensor& h) { return model_.head()(model_.final_norm(h)); },
                                     model_.facts.vocab_size, 1, /*with_gradient=*/false);
      sum += loss.sum;
      tokens += loss.tokens;
    }
    return std::exp(sum / static_cast<double>(tokens));
  }

 private:
  CausalLm& model_;
  std::vector<Batch> batches_;
  std::vector<Tensor> x_;
};

struct Layer {
  std::string name;
  Linear* linear;
  std::shared_ptr<Hessian> hessian{};
};

std::vector<Layer> layers_of(CausalLm& model, std::size_t block) {
  std::vector<Layer> layers;
  for_each_linear(*model.blocks[block], [&](const std::string& name, Linear& linear) { layers.push_back({model.block_name(block) + "." + name, &linear}); });
  return layers;
}

void watch_inputs(std::vector<Layer>& layers, Stream& shown, std::size_t block) {
  Watch watch;
  for (auto& layer : layers) layer.linear->fill_slot(std::make_unique<WatchingSlot>(watch, layer.hessian));
  shown.pass(block, false, [&] { watch.forget_tensors(); });
  for (auto& layer : layers) layer.linear->fill_slot(nullptr);
}

GptqMatrix quantise_layer(const Layer& layer, const BlockQuantiser& how) {
  const auto w = layer.linear->storage().dense();
  check_finite(layer.name + ".weight", w);
  gptq_groups(w.size(0), w.size(1), how.options, layer.name);
  if (!layer.hessian)
    throw DataError({.who = layer.name, .found = "no input", .expected = "a layer that its block runs", .remedy = ""});
  const auto hessian = layer.hessian->value();
  check_finite(layer.name + "'s inputs", hessian);
  auto matrix = how.to_nearest ? round_to_nearest(w, how.options) : gptq(w, hessian, how.options, layer.name);
  check_finite(layer.name + ".scales", matrix.scales);
  const auto found = matrix.dequantised();
  const auto error = output_error(w, found, hessian);  // before w, which may be the layer's own memory, becomes what was found
  layer.linear->set_weight(found);
  if (how.on_layer) how.on_layer(layer.name, error);
  return matrix;
}

}  // namespace

QuantisedBlocks quantise_blocks(const LoadedModel& loaded, const Calibration& calibration, const BlockQuantiser& how) {
  const at::NoGradGuard no_grad;
  auto& model = *loaded.model;
  model.random->training = false;
  QuantisedBlocks result;
  const Borrowed embedding(loaded, [&](Visitor& v) { model.visit_embedding(v); });
  Stream shown(model, calibration.shown), before(model, calibration.held_out), after(model, calibration.held_out);
  for (std::size_t i = 0; i < model.blocks.size(); ++i) {
    const Borrowed block(loaded, [&](Visitor& v) { model.blocks[i]->visit(v); });
    auto layers = layers_of(model, i);
    before.pass(i, true);
    watch_inputs(layers, shown, i);
    for (auto& layer : layers) {
      result.layers.emplace(layer.name, quantise_layer(layer, how));
      layer.hessian.reset();
    }
    shown.pass(i, true);
    after.pass(i, true);
  }
  const Borrowed head(loaded, [&](Visitor& v) { model.visit_head(v); });
  result.perplexity_before = before.perplexity();
  result.perplexity_after = after.perplexity();
  return result;
}

}  // namespace herd
