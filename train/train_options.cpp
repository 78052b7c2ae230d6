#include "train/train_options.h"

#include <cmath>

namespace herd {

std::int64_t recomputed_blocks(const TrainOptions& o) {
  switch (o.activation_checkpointing) {
    case Recompute::kNone: return 0;
    case Recompute::kFull: return 1;
    case Recompute::kSelective: return o.recompute_every;
  }
  return 0;
}

void describe(Schema& s, LossScaleOptions& o) {
  s.field("initial", o.initial, "scale of the first step, a power of two").at_least(1);
  s.field("growth_interval", o.growth_interval, "finite steps in a row after which the scale doubles").at_least(1);
}

void describe(Schema& s, TrainOptions& o) {
  s.field("epochs", o.epochs, "passes over the training records").at_least(1).known_as({"num_train_epochs", "num_epochs"});
  s.field("max_steps", o.max_steps, "optimizer steps after which the run ends; 0: no limit").at_least(0);
  s.field("max_tokens", o.max_tokens, "tokens of the batches after which the run ends; 0: no limit").at_least(0);
  s.field("stop_after", o.stop_after,
          "steps after which the run pauses: evaluated and saved, for resume=auto to go on. Schedules run to the end that epochs, max_steps and "
          "max_tokens say, so a paused and a whole run are one; 0: never")
      .at_least(0);
  s.field("learning_rate", o.learning_rate, "the peak, reached after the warm-up").above(0).at_most(1e3).known_as({"lr"});
  s.choice("schedule",
           o.schedule,
           {{"constant", ScheduleKind::kConstant}, {"linear", ScheduleKind::kLinear}, {"cosine", ScheduleKind::kCosine}},
           "course of the learning rate after the warm-up; linear and cosine end at 0")
      .known_as({"lr_scheduler_type", "lr_scheduler"});
  s.field("warmup", o.warmup, "linear rise from 0 at the start: below 1 a fraction of all steps, from 1 on whole steps")
      .at_least(0)
      .known_as({"warmup_ratio", "warmup_steps"});
  s.field("weight_decay", o.weight_decay, "AdamW's decoupled decay, not applied to biases and norms").at_least(0);
  s.field("beta1", o.beta1, "decay of AdamW's mean of the gradient").at_least(0).below(1).known_as({"adam_beta1"});
  s.field("beta2", o.beta2, "decay of AdamW's mean of the squared gradient").at_least(0).below(1).known_as({"adam_beta2"});
  s.field("epsilon", o.epsilon, "added to the root of that mean").above(0).known_as({"adam_epsilon", "eps"});
  s.field("max_grad_norm", o.max_grad_norm, "a longer global gradient is scaled down to this norm; 0: no clipping")
      .at_least(0)
      .known_as({"clip", "max_norm"});
  s.field("global_batch_size", o.global_batch_size, "rows of one optimizer step, over all ranks; need not divide by them")
      .at_least(1)
      .known_as({"batch_size", "total_batch_size"});
  s.field("micro_batch_size", o.micro_batch_size, "most rows that a rank holds at once; accumulation follows from global_batch_size")
      .at_least(1).known_as({"per_device_train_batch_size", "gradient_accumulation_steps"});
  s.field("evaluate_every", o.evaluate_every, "how often the held-out records are evaluated (data.held_out)")
      .known_as({"eval_steps", "evaluation_strategy"});
  s.field("evaluate_first", o.evaluate_first, "evaluate before the first step too, as step 0, to compare with; it never counts as the best")
      .known_as({"eval_on_start"});
  s.field("patience", o.patience, "evaluations without a lower held-out loss after which the run ends; 0: never")
      .at_least(0)
      .known_as({"early_stopping_patience"});
  s.choice("non_finite", o.non_finite, {{"skip", NonFinite::kSkip}, {"stop", NonFinite::kStop}},
           "a loss or gradient that is not finite leaves the step out, or ends the run");
  s.field("seed", o.seed, "seed of dropout and of train.neftune_alpha's noise").at_least(0);
  s.field("neftune_alpha", o.neftune_alpha,
          "NEFTune: uniform noise of up to alpha / √(tokens · width) in a record's embeddings, in training alone; 5 to 15, 0: none")
      .at_least(0)
      .known_as({"neftune_noise_alpha"});
  s.section("loss_scale", o.loss_scale, "dynamic loss scaling, for model.dtype fp16 alone");
  s.choice("activation_checkpointing", o.activation_checkpointing,
           {{"none", Recompute::kNone}, {"full", Recompute::kFull}, {"selective", Recompute::kSelective}},
           "full: each block is computed again in the backward pass, for less memory; selective: one in train.recompute_every")
      .known_as({"gradient_checkpointing", "recompute"});
  s.field("recompute_every", o.recompute_every, "activation_checkpointing=selective: one block in so many is computed again").at_least(1);
}

void TrainOptions::validate() const {
  if (warmup >= 1 && warmup != std::floor(warmup))
    throw InvalidSetting("warmup", write_value(warmup).text, "a fraction below 1 or a whole number of steps");
}

}  // namespace herd
