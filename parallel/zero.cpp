#include "parallel/zero.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "parallel/flat_gradients.h"
#include "parallel/flat_parameters.h"
#include "parallel/mesh.h"

namespace herd {
namespace {

std::int64_t shard_degree(const StrategyEntry& entry, const StrategyContext& context) {
  switch (entry.share) {
    case StrategyEntry::Share::kNothing: return 1;
    case StrategyEntry::Share::kAllRanks: return context.communicator.size();
    case StrategyEntry::Share::kNode: return context.options.shard_degree;
  }
  return 1;
}

FlatRule flat_rule(const StrategyEntry& entry, const ParallelOptions& options) {
  return {.frozen_too = entry.parameters, .bucket_bytes = entry.parameters ? 0 : options.bucket_bytes};
}

// Adds to `sum`, which lies where x does, so that nobody waits for a device. In fp64 the cut into parts does not show in it; a stretch at a
// time, for the copy in fp64 that it takes: one that stays in a CPU's cache, one that fills a GPU.
void add_squares(const Tensor& x, Tensor& sum) {
  const std::int64_t stretch = x.is_cpu() ? 1 << 18 : 1 << 26;
  for (std::int64_t begin = 0; begin < x.numel(); begin += stretch)
    sum += x.narrow(0, begin, std::min(stretch, x.numel() - begin)).to(at::kDouble).square_().sum();
}

class Zero final : public Strategy, PassListener {
 public:
  Zero(const StrategyEntry& entry, const StrategyContext& c)
      : mesh_(make_mesh(c.communicator, shard_degree(entry, c))),
        flats_(make_flats(c.model, flat_rule(entry, c.options), mesh_.shard->size(), mesh_.shard->rank())),
        parameters_(c.model, flats_, *mesh_.shard, {.sharded = entry.parameters,
                     .on_host = c.options.offload == Offload::kParameters,
                     .prefetch = c.options.overlap ? c.options.prefetch : 0},
                    c.read),
        gradients_(flats_, mesh_,
                   {.whole = !entry.gradients || !c.options.reduce_each_micro_batch,
                    .travels_as = c.options.reduce_dtype == ReduceDtype::kBf16 ? at::kBFloat16 : at::kFloat,
                    .overlap = c.options.overlap}),
        pass_(c.model, c.recompute_every, this) {
    for (std::size_t i = 0; i < flats_.size(); ++i) add_slices(i);
    fill_rest(entry, c);
  }

  double forward_backward(const Batch& batch, double scale, bool last) override {
    begin_step();
    last_ = last;
    parameters_.begin_walk(pass_.training_walk());
    const auto loss = pass_.forward_backward(batch, scale).sum;
    if (!std::isfinite(loss)) gradients_.blame("the loss");
    return loss;
  }

  double forward_loss(const Batch& batch) override {
    parameters_.begin_walk(pass_.evaluation_walk());
    return pass_.forward_loss(batch).sum;
  }

  Tensor next_logits(const Batch& batch, KvCache& cache) override {
    parameters_.begin_walk(pass_.evaluation_walk());
    return pass_.next_logits(batch, cache);
  }

  void finish_gradients() override {
    gradients_.finish();
    open_ = false;
  }

  const std::optional<Fault>& fault() const override { return gradients_.fault(); }

  double gradient_norm() override {
    auto squares = at::zeros({1}, at::kDouble);
    if (!slices_.empty() && !slices_.front().grad.is_meta()) {
      squares = squares.to(slices_.front().grad.device());
      for (const auto& slice : slices_) add_squares(slice.grad, squares);
      squares = squares.cpu();
    }
    sum_over_parts(squares);
    return std::sqrt(squares.item<double>());
  }
  void scale_gradients(double factor) override {
    for (auto& slice : slices_) slice.grad.mul_(factor);
  }
  std::span<Slice> slices() override { return slices_; }
  void sum_over_parts(Tensor& x) override { mesh_.shard->all_reduce(x).wait(); }
  void values_changed() override { parameters_.parts_changed(); }

  void with_whole_parameters(bool frozen_too, const std::function<void()>& f) override {
    parameters_.gather(frozen_too);
    f();
    parameters_.free();
  }

  Resident resident() const override { return {rest_bytes_ + parameters_.resident_bytes(), gradients_.resident_bytes()}; }
  int copies() const override { return mesh_.replicas ? mesh_.replicas->size() : 1; }

 private:
  void enter(Unit unit, Phase) override { parameters_.enter(unit); }
  void leave(Unit unit, Phase phase) override {
    if (phase == Phase::kBackward) gradients_.collect(unit, last_);
    parameters_.leave(unit);
  }

  // What no row holds: frozen, and whole on every rank.
  void fill_rest(const StrategyEntry& entry, const StrategyContext& c) {
    const auto device = c.communicator.devices().front();
    if (!device.is_meta()) fill(c.model, c.read, device);
    for_each_parameter(c.model, [&](const std::string&, Parameter& p) {
      if (p.trainable || entry.parameters) return;
      if (device.is_meta()) set_dtype(p, p.value.scalar_type());
      rest_bytes_ += static_cast<std::int64_t>(p.value.nbytes());
    });
    c.model.tie();
  }

  void begin_step() {
    if (!std::exchange(open_, true)) gradients_.begin_step();
  }

  void add_slices(std::size_t row) {
    const auto& flat = flats_[row];
    if (!flat.trainable) return;
    for (const auto& place : flat.places) {
      const auto begin = std::max(place.begin, flat.begin), end = std::min(place.end, flat.end);
      if (begin >= end) continue;
      slices_.push_back({.parameter = place.parameter,
                         .begin = begin - place.begin,
                         .end = end - place.begin,
                         .value = parameters_.own(row).narrow(0, begin - flat.begin, end - begin),
                         .grad = gradients_.own(row).narrow(0, begin - flat.begin, end - begin)});
    }
  }

  Mesh mesh_;
  std::vector<Flat> flats_;
  FlatParameters parameters_;
  FlatGradients gradients_;
  Pass pass_;
  std::vector<Slice> slices_;
  std::int64_t rest_bytes_ = 0;  // of parameters that no row holds
  bool last_ = false;  // the micro-batch under way is the step's last
  bool open_ = false;  // a step's gradients are being gathered
};

}  // namespace

std::unique_ptr<Strategy> make_zero(const StrategyEntry& entry, const StrategyContext& context) {
  return std::make_unique<Zero>(entry, context);
}

}  // namespace herd
