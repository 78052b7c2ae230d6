#include "launch/train_run.h"

#include <variant>

#include "data/batches.h"
#include "data/streamed_batches.h"
#include "launch/load_watch.h"
#include "launch/run_parts.h"
#include "launch/run_saver.h"
#include "launch/run_start.h"
#include "parallel/checkpoint/store.h"
#include "parallel/comm/agree.h"
#include "peft/registry.h"
#include "peft/step_rule.h"
#include "runtime/base/log.h"
#include "runtime/base/text.h"
#include "train/optimizer.h"
#include "train/resume.h"

namespace herd {
namespace {

// The parts, or the signal that came to some rank before all had them.
std::variant<RunParts, Signal> load_parts_or_stop(const RunConfig& config, int threads, Communicator& communicator, const std::function<Signal()>& signal) {
  auto parts = agree(communicator, [&]() -> std::optional<RunParts> {
    LoadWatch watch(signal, communicator.rank() == 0);
    try {
      return load_parts(config, threads, std::ref(watch));
    } catch (const Interrupted&) {
      return std::nullopt;
    }
  });
  auto came = at::full({1}, static_cast<int>(signal()), at::kLong);
  communicator.all_reduce(came, ReduceOp::kMax).wait();
  if (const auto greatest = static_cast<Signal>(came.item<std::int64_t>()); greatest != Signal::none) return greatest;
  return std::move(*parts);
}

std::unique_ptr<Strategy> make_strategy(const RunConfig& config, const RunParts& parts, Communicator& communicator) {
  return strategies().at(config.parallel.strategy).make({.model = parts.model(),
                                                         .communicator = communicator,
                                                         .options = config.parallel,
                                                         .recompute_every = recomputed_blocks(config.train),
                                                         .read = parts.base.read});
}

std::unique_ptr<StepSource> make_step_source(const RunConfig& config, const RunParts& parts, const SamplerOptions& order, int threads) {
  if (!config.data.streaming) return std::make_unique<Batches>(parts.dataset.train, order, parts.dataset.pad_token);
  auto data = config.data;
  if (data.threads == 0) data.threads = threads;
  return std::make_unique<StreamedBatches>(data, resolve_sets(data), *parts.vocabulary.tokenizer, config.train.global_batch_size, config.train.epochs, parts.dataset.pad_token);
}

JournalOptions journal_options(const RunConfig& config, StepSource& batches, std::int64_t step, bool resumed, at::Device device) {
  return {.first_step = step,
          .total_steps = planned_steps(config.train, batches),
          .resumed = resumed,
          .log_every = config.run.log_every,
          .tensorboard = config.run.tensorboard,
          .plot = config.run.plot,
          .device = device};
}

void tell_start(const RunParts& parts, const RunConfig& config, const Communicator& communicator, int threads) {
  log_info("{} on {} of {}; {}", parts.model().facts.family, plural(communicator.size(), "rank"), plural(threads, "thread"),
           describe_parameters(parts.model()));
  const auto& adapter = config.peft.adapter;
  if (!adapter.empty()) log_info("going on from adapter {}, which says what is trained: {}", adapter, describe_adapter(parts.peft));
  if (config.parallel.offload != Offload::kNone && config.model.device == "cpu")
    log_info("parallel.offload: with model.device=cpu everything is in host memory already");
  if (parts.vocabulary.extension) log_info("vocabulary: {}", parts.vocabulary.summary());
  for (const auto& line : parts.dataset.summary()) log_info("{}", line);
  if (communicator.rank() == 0 && config.model.config && makes_adapter(parts))
    log_warning("an adapter of random weights (model.config), which no folder holds: herd generate and merge have no base to put it on");
}

// All ranks are here with one error, such as numbers that are not finite: what was saved before it is worth keeping.
void finish_before_the_end(CheckpointStore& store, Communicator& communicator, double timeout_s) {
  const DeadlineScope saving(communicator, timeout_s);
  try {
    store.finish();
  } catch (const Error& error) {
    log_warning("the save that was under way failed as well: {}", error.what());
  }
}

void tell_end(const TrainOutcome& outcome, const RunFolder& folder) {
  switch (outcome.reason) {
    case StopReason::kDone: log_info("done: {} steps", outcome.state.step); break;
    case StopReason::kPatience:
      log_info("done: the held-out loss has not fallen for {} evaluations; its lowest was {:.4f} at step {}",
               outcome.state.evaluations_since_best, outcome.state.best_loss, outcome.state.best_step);
      break;
    case StopReason::kSignal:
      log_info("{} came: step {} is saved, resume=auto goes on from it", name(outcome.signal), outcome.state.step);
      break;
  }
  log_info("run folder: {}", folder.root().string());
}

}  // namespace

TrainOutcome train_run(const ResolvedRun& run, const RunFolder& folder, Communicator& communicator, std::function<Signal()> signal) {
  const auto& config = run.config;
  const bool first_rank = communicator.rank() == 0;
  const int threads = agree(communicator, [&] { return use_threads(config.model.threads, communicator); });
  communicator.note("loading");
  // Rank 0 names a rank whose file does not come before the others lose patience with rank 0.
  const auto patience_s = config.parallel.save_timeout_s / 2;
  CheckpointStore store(folder.checkpoints(), communicator,
                        {.keep = config.checkpoint.keep, .async = config.checkpoint.async, .deadline_s = patience_s, .on_step = {}});
  // What is wrong with it is told before minutes go into loading and tokenising.
  const auto checkpoint = config.checkpoint.resume == "none" ? std::nullopt : store.find(config.checkpoint.resume);
  auto loaded = load_parts_or_stop(config, threads, communicator, signal);
  if (const auto* came = std::get_if<Signal>(&loaded)) {
    log_info("{} came before the first step: nothing new is to be saved", name(*came));
    return {StopReason::kSignal, *came, {}};
  }
  const auto parts = std::get<RunParts>(std::move(loaded));
  check_same_parts(parts, communicator);
  tell_start(parts, config, communicator, threads);

  const auto strategy = make_strategy(config, parts, communicator);
  const auto factor = peft_methods().at(config.peft.method).learning_rate_factor;
  AdamW optimizer(strategy->slices(), config.train, config.parallel.offload != Offload::kNone,
                  factor ? [&](const Parameter& p) { return factor(config.peft, p); } : std::function<double(const Parameter&)>());
  const auto order = sample_order(config);
  const auto batches = agree(communicator, [&] { return make_step_source(config, parts, order, threads); });
  const auto rule = agree(communicator, [&] { return make_step_rule(parts.model(), parts.peft, strategy->slices(), planned_steps(config.train, *batches)); });
  std::optional<Batches> held_out;
  if (!parts.dataset.held_out.empty())
    held_out.emplace(parts.dataset.held_out, held_out_order(order, parts.dataset.held_out.size()), parts.dataset.pad_token);

  const LossScale loss_scale(config.model.dtype == Precision::kFp16, config.train.loss_scale);
  TrainState state{.loss_scale = loss_scale, .rule = rule ? rule->state() : ""};
  if (checkpoint) {
    store.check(*checkpoint, fingerprints(parts, config));
    state = agree(communicator, [&] { return train_state_from_json(checkpoint->manifest.state, loss_scale); });
    if (rule) agree(communicator, [&] { rule->restore(state.rule); });
    if (auto* streamed = dynamic_cast<StreamedBatches*>(batches.get())) agree(communicator, [&] { streamed->go_to(state.step, state.data); });
    store.read(*checkpoint, checkpoint_slices(optimizer, rule.get()));
    optimizer.restored(state.updates);
    strategy->values_changed();
    log_info("going on from {}", checkpoint->folder.string());
  } else if (config.checkpoint.resume == "auto") {
    log_info("no checkpoint in {} yet: a new run", folder.root().string());
  }
  auto journal = agree(communicator, [&] {
    return first_rank ? Journal(folder, journal_options(config, *batches, state.step, checkpoint.has_value(), communicator.devices().front())) : Journal();
  });
  RunSaver saver({.run = run, .folder = folder, .parts = parts, .communicator = communicator, .strategy = *strategy,
                  .optimizer = optimizer, .rule = rule.get(), .store = store, .journal = journal}, checkpoint);
  Training training{.model = parts.model(),
                    .communicator = communicator,
                    .strategy = *strategy,
                    .batches = *batches,
                    .held_out = held_out ? &*held_out : nullptr,
                    .options = config.train,
                    .rule = rule.get(),
                    .save_every = config.checkpoint.every,
                    .save_best = config.checkpoint.save_best,
                    .journal = journal,
                    .save = [&](const TrainState& now, bool best) { saver.save(now, best); },
                    .save_failed = [&] { return store.failed(); },
                    .finish_save = [&] { saver.finish(); },
                    .signal = std::move(signal)};
  communicator.set_deadline(config.parallel.timeout_s);
  const auto outcome = [&] {
    try {
      return train(training, optimizer, state);
    } catch (const Error& error) {
      if (error.complaint().everywhere) finish_before_the_end(store, communicator, config.parallel.save_timeout_s);
      throw;
    }
  }();
  agree(communicator, [&] { journal.finish(); });
  if (outcome.reason != StopReason::kSignal) {
    const auto place = makes_adapter(parts) ? folder.adapter() : folder.model();
    saver.write(place);
    log_info("{}: {}", place.filename().string(), place.string());
  }
  tell_end(outcome, folder);
  return outcome;
}

}  // namespace herd
