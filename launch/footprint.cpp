#include "launch/footprint.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "data/sampler.h"
#include "launch/run_parts.h"
#include "models/grow.h"
#include "models/hub.h"
#include "parallel/strategy.h"
#include "peft/registry.h"
#include "peft/step_rule.h"
#include "runtime/nn/quantise.h"
#include "runtime/tensor/meta_memory.h"
#include "train/optimizer.h"

namespace herd {
namespace {

// Rows of the greatest length, every token learnt. Packed rows hold two records: then they go through the attention apart.
Batch full_batch(std::int64_t rows, std::int64_t tokens, bool packed) {
  const auto on_meta = at::TensorOptions().device(at::kMeta).dtype(at::kLong);
  Batch batch{.tokens_bt = at::empty({rows, tokens}, on_meta),
              .labels_bt = at::zeros({rows, tokens}, at::kLong),
              .positions_bt = at::empty({rows, tokens}, on_meta)};
  for (std::int64_t row = 0; row < rows; ++row) {
    const auto middle = packed ? tokens / 2 : tokens;
    batch.segments.push_back({row, 0, middle});
    if (packed) batch.segments.push_back({row, middle, tokens});
  }
  batch.row_ids.resize(static_cast<std::size_t>(rows));
  std::iota(batch.row_ids.begin(), batch.row_ids.end(), 0);
  batch.supervised_tokens = rows * (tokens - 1);
  return batch;
}

std::int64_t rounded_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

Traffic operator-(const Traffic& a, const Traffic& b) { return {a.inside - b.inside, a.across - b.across}; }

std::int64_t bytes_of_states(AdamW& optimizer, StepRule* rule) {
  std::int64_t bytes = 0;
  const auto add = [&](const Slice&, const std::string&, Tensor& state) { bytes += static_cast<std::int64_t>(state.nbytes()); };
  optimizer.for_each_state(add);
  if (rule) rule->for_each_state(add);
  return bytes;
}

// How many steps a run has is nothing that its states depend on.
std::unique_ptr<StepRule> make_rule(CausalLm& model, const PeftOptions& options, std::span<Slice> slices) {
  return make_step_rule(model, options, slices, options.tinit + options.tfinal + 1);
}

// What all ranks' files hold: the optimizer's states of whole parameters.
std::int64_t checkpoint_bytes(CausalLm& model, const RunConfig& config) {
  std::vector<Slice> whole;
  for_each_parameter(model, [&](const std::string&, Parameter& p) {
    if (!p.trainable) return;
    const auto value = at::empty({p.value.numel()}, p.value.options().requires_grad(false));
    whole.push_back({.parameter = &p, .begin = 0, .end = value.numel(), .value = value, .grad = value});
  });
  AdamW optimizer(whole, config.train);
  const auto rule = make_rule(model, config.peft, whole);
  return bytes_of_states(optimizer, rule.get());
}

class DryRun {
 public:
  DryRun(const RunConfig& config, const Job& job, std::int64_t tokens)
      : config_(config), model_(model_shape(config, tokens)), world_(job.rank, job.ranks, job.nodes) {
    config_.parallel.offload = Offload::kNone;  // a dry run has one device; run_beside_host() deals it out
    found_.checkpoint_bytes = checkpoint_bytes(*model_, config);
    const auto numbers = count_numbers(*model_);
    found_.parameters = numbers.all;
    found_.trained = numbers.trained;
  }

  Footprint run(std::int64_t row_tokens, std::int64_t enough) {
    strategy_ = strategies()
                    .at(config_.parallel.strategy)
                    .make({.model = *model_,
                           .communicator = world_,
                           .options = config_.parallel,
                           .recompute_every = recomputed_blocks(config_.train)});
    at_rest_ = strategy_->resident();
    found_.memory.parameters = at_rest_.parameters;
    found_.memory.gradients = at_rest_.gradients;
    const auto without_optimizer = memory_.live();
    AdamW optimizer(strategy_->slices(), config_.train);
    rule_ = make_rule(*model_, config_.peft, strategy_->slices());
    found_.memory.optimizer = memory_.live() - without_optimizer;
    if (found_.memory.states() > enough) return found_;
    step(row_tokens);
    save(optimizer);
    return found_;
  }

  // What a GPU does not hold of it.
  Footprint run_beside_host(std::int64_t row_tokens, Offload offload, std::int64_t enough) {
    run(row_tokens, offload == Offload::kNone ? enough : std::numeric_limits<std::int64_t>::max());
    auto& m = found_.memory;
    m.host_snapshot = std::exchange(m.snapshot, 0);
    if (offload == Offload::kNone) return found_;
    // AdamW keeps copies of gradients there, and of values that lie elsewhere or have another format.
    for (const auto& slice : strategy_->slices()) m.host_states += static_cast<std::int64_t>(slice.grad.nbytes());
    const auto beside_values = std::exchange(m.optimizer, 0);
    m.host_states += offload == Offload::kParameters ? beside_values + std::exchange(m.parameters, 0) : bytes_of_slices_;
    return found_;
  }

 private:
  // As train() does it. Of the micro-batches before the last one stands for all; where their gradients travel it is the third: by then rows
  // of the two before it are on their way (FlatGradients).
  void step(std::int64_t row_tokens) {
    const auto& train = config_.train;
    const auto most = rounded_up(train.global_batch_size, world_.size());
    found_.micro_batches = rounded_up(most, train.micro_batch_size);
    const auto batch = full_batch(std::min(most, train.micro_batch_size), row_tokens, config_.data.packing);
    model_->random->training = true;
    model_->random->row_ids = batch.row_ids;
    model_->random->neftune_alpha = train.neftune_alpha;
    memory_.forget_peak();
    memory_.on_peak([this] { note_peak(); });
    auto count = [this, before = world_.traffic()](std::int64_t times) mutable {
      const auto sent = world_.traffic() - before;
      found_.sent.inside += static_cast<std::uint64_t>(times) * sent.inside;
      found_.sent.across += static_cast<std::uint64_t>(times) * sent.across;
      before = world_.traffic();
    };
    const bool travel = strategies().at(config_.parallel.strategy).gradients && config_.parallel.reduce_each_micro_batch;
    const auto others = found_.micro_batches - 1, tried = std::min<std::int64_t>(others, travel ? 3 : 1);
    for (auto i = tried; i > 0; --i) {
      strategy_->forward_backward(batch, 1, false);
      count(i == 1 ? others - tried + 1 : 1);
    }
    strategy_->forward_backward(batch, 1, true);
    strategy_->finish_gradients();
    if (rule_) strategy_->with_whole_parameters(false, [] {});
    strategy_->gradient_norm();
    strategy_->values_changed();
    count(1);
    memory_.on_peak({});
  }

  void note_peak() {
    auto& m = found_.memory;
    const auto now = strategy_->resident();
    m.gathered = now.parameters - at_rest_.parameters;
    m.travelling = now.gradients - at_rest_.gradients;
    m.activations = memory_.peak() - m.states() - m.gathered - m.travelling;
  }

  // As RunSaver does it: the slices of this rank, which shares the work with those that have the same; the result from values gathered.
  void save(AdamW& optimizer) {
    auto& m = found_.memory;
    bytes_of_slices_ = bytes_of_states(optimizer, rule_.get());
    if (config_.checkpoint.async) m.snapshot = rounded_up(bytes_of_slices_, strategy_->copies());
    if (streams_result(config_)) return;
    memory_.forget_peak();
    const auto live = memory_.live();
    strategy_->with_whole_parameters(!makes_adapter(config_.peft), [] {});
    m.result = memory_.peak() - live;
  }

  RunConfig config_;
  MetaMemory memory_;
  std::unique_ptr<CausalLm> model_;
  DryCommunicator world_;
  std::unique_ptr<Strategy> strategy_;
  std::unique_ptr<StepRule> rule_;
  Resident at_rest_;
  std::int64_t bytes_of_slices_ = 0;  // the optimizer's states of them
  Footprint found_;
};

}  // namespace

std::unique_ptr<CausalLm> model_shape(const RunConfig& config, std::int64_t tokens) {
  const auto& options = config.model;
  std::unique_ptr<CausalLm> model;
  if (options.path.empty()) {
    model = describe_model(options, tokens).model;
  } else {
    const auto stored = read_hub_config(options.path, options.family);
    model = make_model_from(stored);
    if (!options.extend_vocab.empty()) model = make_model_from(with_vocabulary(stored, tokens));
    set_dtype(*model, scalar_type(options.dtype));
    keep_as_told(*model, stored, options.quantization, options.path);
  }
  attach(*model, config.peft, std::nullopt);
  return model;
}

Footprint footprint(const RunConfig& config, const Job& job, std::int64_t row_tokens, std::int64_t tokens, std::int64_t enough) {
  DryRun dry(config, job, tokens);
  return config.model.device == "cpu" ? dry.run(row_tokens, enough) : dry.run_beside_host(row_tokens, config.parallel.offload, enough);
}

}  // namespace herd
