#pragma once
#include <functional>

#include "launch/footprint.h"
#include "models/hub.h"
#include "parallel/strategy.h"
#include "peft/registry.h"
#include "peft/step_rule.h"
#include "train/optimizer.h"

namespace herd::test {

inline constexpr std::int64_t kSmallRow = 128;  // tokens

/// A run of a small LLaMA of random weights. Rows are as long as can be, and every token is learnt.
inline RunConfig small_run(const std::string& strategy, const std::string& method, const ModelShape& shape, int ranks, int micro_batches) {
  RunConfig config;
  config.model.family = "llama";
  config.model.config = shape;
  config.peft.method = method;
  config.peft.dropout = method == "lora" ? 0.1 : 0;
  if (method == "lora") config.peft.target_modules = {{"all-linear"}, true};
  config.parallel.strategy = strategy;
  config.train.micro_batch_size = 3;
  config.train.global_batch_size = std::int64_t{3} * micro_batches * ranks;
  return config;
}

/// Who is told how far one_step is.
struct StepListener {
  std::function<void()> strategy_made = [] {}, optimizer_made = [] {};
  std::function<void(Strategy&, AdamW&)> stepped = [](Strategy&, AdamW&) {};
};

/// Builds it for real and makes one step, on one rank.
inline void one_step(const RunConfig& config, Communicator& c, const StepListener& listener) {
  auto base = open_model(config.model, 0);
  auto& model = *base.model;
  attach(model, config.peft, 3);
  const auto strategy =
      strategies().at(config.parallel.strategy).make({model, c, config.parallel, recomputed_blocks(config.train), base.read});
  listener.strategy_made();
  AdamW optimizer(strategy->slices(), config.train);
  const auto rule = make_step_rule(model, config.peft, strategy->slices(), 10);
  listener.optimizer_made();
  const auto rows = config.train.micro_batch_size, micro_batches = config.train.global_batch_size / (rows * c.size());
  std::vector<std::vector<std::int64_t>> tokens(static_cast<std::size_t>(rows), std::vector<std::int64_t>(kSmallRow));
  for (auto& row : tokens)
    for (std::int64_t i = 0; i < kSmallRow; ++i) row[static_cast<std::size_t>(i)] = 7 * i % model.facts.vocab_size;
  auto batch = plain_batch(tokens);
  batch.labels_bt = batch.tokens_bt.clone();
  batch.labels_bt.narrow(1, 0, 1).fill_(kIgnoreLabel);
  model.random->training = true;
  model.random->row_ids = batch.row_ids;
  for (std::int64_t i = 0; i < micro_batches; ++i) strategy->forward_backward(batch, 0.01, i + 1 == micro_batches);
  strategy->finish_gradients();
  if (rule) strategy->with_whole_parameters(false, [&] { rule->add_to_gradients(strategy->slices(), 1); });
  strategy->gradient_norm();
  optimizer.step(1e-3);
  strategy->values_changed();
  listener.stepped(*strategy, optimizer);
}

}  // namespace herd::test
