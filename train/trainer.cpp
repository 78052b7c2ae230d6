#include "train/trainer.h"

#include <chrono>
#include <cmath>

#include "parallel/comm/agree.h"
#include "peft/step_rule.h"
#include "runtime/base/log.h"
#include "runtime/nn/on_device.h"
#include "runtime/report/run_folder.h"
#include "train/optimizer.h"
#include "train/schedule.h"
#include "train/stragglers.h"

namespace herd {
namespace {

// What the ranks tell each other at the end of a step's backward.
struct Boundary {
  double loss_sum = 0;
  bool faulty = false, save_failed = false;
  Signal signal = Signal::none;
  Stragglers::Work work;                    // sent
  std::vector<Stragglers::Work> ranks{};  // gathered
};

Boundary gather(Communicator& communicator, const Boundary& mine) {
  const auto sent = at::tensor({mine.loss_sum, mine.faulty ? 1.0 : 0.0, mine.save_failed ? 1.0 : 0.0,
                                static_cast<double>(static_cast<int>(mine.signal)), mine.work.seconds, mine.work.tokens}, at::kDouble);
  auto all = at::empty({communicator.size(), sent.numel()}, at::kDouble);
  communicator.all_gather(all, sent).wait();
  Boundary gathered{.loss_sum = all.select(1, 0).sum().item<double>(),
                    .faulty = all.select(1, 1).max().item<double>() > 0,
                    .save_failed = all.select(1, 2).max().item<double>() > 0,
                    .signal = static_cast<Signal>(static_cast<int>(all.select(1, 3).max().item<double>())),
                    .work = {}};
  const auto values = all.accessor<double, 2>();
  for (int rank = 0; rank < communicator.size(); ++rank) gathered.ranks.push_back({values[rank][4], values[rank][5]});
  return gathered;
}

double seconds_since(std::chrono::steady_clock::time_point began) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
}

// "rank 1: model.layers.3.mlp.up_proj.weight", the first rank that has one.
std::string describe_fault(Communicator& communicator, const std::optional<Fault>& mine) {
  const auto all = all_gather_string(communicator, mine ? mine->where : "");
  for (std::size_t rank = 0; rank < all.size(); ++rank) {
    if (!all[rank].empty()) return (all[rank] == "the loss" ? "" : "the gradient of ") + all[rank] + " of rank " + std::to_string(rank);
  }
  return "the norm of the summed gradient";
}

class Loop {
 public:
  Loop(Training& training, AdamW& optimizer, const TrainState& state)
      : t_(training), optimizer_(optimizer), state_(state),
        total_steps_(planned_steps(training.options, training.batches)),
        last_step_(training.options.stop_after > 0 ? std::min(total_steps_, training.options.stop_after) : total_steps_),
        schedule_(training.options, total_steps_) {}

  TrainOutcome run() {
    if (state_.step == 0 && t_.held_out && t_.options.evaluate_first) evaluate_now();
    // A resumed run may have run out of patience before it was stopped.
    while (!done() && patient()) {
      const auto signal = step();
      const bool best = evaluation_due() && judge(evaluate_now());
      const bool last = done() || !patient() || signal != Signal::none;
      if (last || due(t_.save_every) || (best && t_.save_best)) t_.save(state_, best);
      if (signal != Signal::none) return finish({StopReason::kSignal, signal, state_});
    }
    return finish({patient() ? StopReason::kDone : StopReason::kPatience, Signal::none, state_});
  }

 private:
  TrainOutcome finish(TrainOutcome outcome) {
    t_.finish_save();
    return outcome;
  }

  Signal step() {
    const auto began = std::chrono::steady_clock::now();
    const auto size = t_.batches.size(state_.step);
    const auto tokens = static_cast<double>(size.supervised_tokens);
    const auto micro_batches = t_.batches.micro_batches(state_.step, rank(), t_.communicator.size(), t_.options.micro_batch_size);
    const auto waited = t_.communicator.job_waited_s();
    note("forward and backward");
    Boundary mine;
    for (std::size_t i = 0; i < micro_batches.size(); ++i) {
      key_random_numbers(micro_batches[i]);
      const auto batch = on_device(micro_batches[i], t_.communicator.devices().front());
      mine.loss_sum += t_.strategy.forward_backward(batch, state_.loss_scale.factor() / tokens, i + 1 == micro_batches.size());
      mine.work.tokens += static_cast<double>(micro_batches[i].tokens_bt.numel());
    }
    note("summing gradients");
    t_.strategy.finish_gradients();
    if (t_.rule)
      t_.strategy.with_whole_parameters(false, [&] { t_.rule->add_to_gradients(t_.strategy.slices(), state_.loss_scale.factor()); });
    mine.faulty = t_.strategy.fault().has_value();
    mine.save_failed = t_.save_failed();
    mine.signal = t_.signal();
    mine.work.seconds = seconds_since(began) - (t_.communicator.job_waited_s() - waited);
    const auto all = gather(t_.communicator, mine);
    if (all.save_failed) t_.finish_save();
    tell_straggler(all.ranks);

    const auto learning_rate = schedule_.learning_rate(state_.step);
    const auto norm = all.faulty ? std::nan("") : t_.strategy.gradient_norm() / state_.loss_scale.factor();
    if (std::isfinite(norm)) update(norm, learning_rate);
    else leave_out();
    ++state_.step;
    state_.tokens += size.tokens;
    state_.data = t_.batches.place(state_.step);
    state_.held_out_loss.reset();
    t_.journal.step({.step = state_.step, .loss = all.loss_sum / tokens, .learning_rate = learning_rate, .gradient_norm = norm,
                     .batch_tokens = size.tokens, .tokens = state_.tokens,
                     .seconds = seconds_since(began),
                     .loss_scale = state_.loss_scale.factor()});
    return all.signal;
  }

  // What the others see of this rank when they wait for it.
  void note(const char* what) { t_.communicator.note("step " + std::to_string(state_.step + 1) + ": " + what); }

  void tell_straggler(std::span<const Stragglers::Work> ranks) {
    const auto found = stragglers_.add(ranks);
    if (!found || rank() != 0) return;
    log_warning("rank {} on {} is slow: over the last {} steps it took {:.1f} times as long for a token as the median of the other ranks, "
                "which wait for it", found->rank, t_.communicator.peer(found->rank).host, found->steps, found->times);
  }

  void key_random_numbers(const Batch& batch) {
    auto& random = *t_.model.random;
    random.training = true;
    random.seed = static_cast<std::uint64_t>(t_.options.seed);
    random.step = state_.step;
    random.row_ids = batch.row_ids;
    random.neftune_alpha = t_.options.neftune_alpha;
  }

  // Clipping as torch.nn.utils.clip_grad_norm_ does it, and the loss scale taken out, in one pass over the gradients.
  void update(double norm, double learning_rate) {
    double factor = 1 / state_.loss_scale.factor();
    if (t_.options.max_grad_norm > 0) factor *= std::min(1.0, t_.options.max_grad_norm / (norm + 1e-6));
    if (factor != 1) t_.strategy.scale_gradients(factor);
    optimizer_.step(learning_rate);
    if (t_.rule) follow(*t_.rule);
    t_.strategy.values_changed();
    ++state_.updates;
    state_.loss_scale.step_was_finite();
  }

  void follow(StepRule& rule) {
    rule.updated(t_.strategy.slices(), state_.step + 1, [this](Tensor& x) { t_.strategy.sum_over_parts(x); });
    optimizer_.change_values([&](const Slice& slice, const Tensor& value) { rule.restrict(slice, value); });
    state_.rule = rule.state();
  }

  void leave_out() {
    const auto fault = describe_fault(t_.communicator, t_.strategy.fault());
    const auto step = "step " + std::to_string(state_.step + 1);
    if (state_.loss_scale.step_overflowed()) {
      log_info("{}: {} overflowed; left out, the loss scale is {:g} now", step, fault, state_.loss_scale.factor());
    } else if (t_.options.non_finite == NonFinite::kSkip) {
      if (rank() == 0) log_warning("{}: {} is not finite; the step is left out", step, fault);
    } else {
      throw Error({.who = step, .found = fault + " " + kNotFinite, .expected = "finite numbers",
                   .remedy = "try a lower train.learning_rate, more train.warmup or model.dtype=fp32, "
                             "or leave such steps out by train.non_finite=skip",
                   .everywhere = true});
    }
  }

  bool due(const Every& every) const {
    if (every.never()) return false;
    if (every.unit == Every::Unit::kSteps) return state_.step % every.count == 0;
    const auto epoch = t_.batches.epoch_ended_at(state_.step);
    return epoch && (*epoch + 1) % every.count == 0;
  }

  bool evaluation_due() const {
    const auto& every = t_.options.evaluate_every;
    return t_.held_out && (due(every) || (done() && !every.never()));
  }

  double evaluate_now() {
    t_.communicator.note("evaluating after step " + std::to_string(state_.step));
    const auto evaluation = evaluate(t_.model, t_.strategy, t_.communicator, *t_.held_out, t_.options.micro_batch_size);
    t_.journal.evaluation(state_.step, evaluation.loss, evaluation.perplexity());
    return evaluation.loss;
  }

  // Counts an evaluation. Whether its loss is the lowest so far.
  bool judge(double held_out_loss) {
    state_.held_out_loss = held_out_loss;
    if (!(held_out_loss < state_.best_loss)) {
      ++state_.evaluations_since_best;
      return false;
    }
    state_.best_loss = held_out_loss;
    state_.best_step = state_.step;
    state_.evaluations_since_best = 0;
    return true;
  }

  bool done() const { return state_.step >= last_step_ || !t_.batches.has(state_.step); }
  bool patient() const { return t_.options.patience == 0 || state_.evaluations_since_best < t_.options.patience; }
  int rank() const { return t_.communicator.rank(); }

  Training& t_;
  AdamW& optimizer_;
  TrainState state_;
  std::int64_t total_steps_, last_step_;
  Schedule schedule_;
  Stragglers stragglers_;
};

}  // namespace

std::int64_t planned_steps(const TrainOptions& options, StepSource& batches) {
  const auto known = batches.steps_in(options.epochs);
  if (!known && (options.max_steps == 0 || options.max_tokens > 0))
    throw ConfigError({.who = options.max_steps == 0 ? "train.max_steps" : "train.max_tokens", .found = options.max_steps == 0 ? "0" : std::to_string(options.max_tokens),
                       .expected = "a number of steps beside data.streaming: how many an epoch has, only reading it would tell", .remedy = "train.max_steps=1000"});
  auto steps = known.value_or(options.max_steps);
  if (options.max_steps > 0) steps = std::min(steps, options.max_steps);
  if (options.max_tokens == 0) return steps;
  std::int64_t tokens = 0;
  for (std::int64_t step = 0; step < steps; ++step) {
    tokens += batches.size(step).tokens;
    if (tokens >= options.max_tokens) return step + 1;
  }
  return steps;
}

TrainOutcome train(Training& training, AdamW& optimizer, TrainState state) { return Loop(training, optimizer, state).run(); }

}  // namespace herd
