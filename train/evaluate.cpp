#include "train/evaluate.h"

#include <cmath>

#include "runtime/nn/on_device.h"

namespace herd {

double Evaluation::perplexity() const { return std::exp(loss); }

SamplerOptions held_out_order(const SamplerOptions& training, std::size_t examples) {
  auto options = training;
  options.order = Order::kAsGiven;
  options.global_batch_size = static_cast<std::int64_t>(examples);
  return options;
}

Evaluation evaluate(CausalLm& model, Strategy& strategy, Communicator& communicator, const Batches& held_out, std::int64_t micro_batch_size) {
  model.random->training = false;
  double sum = 0;
  for (const auto& batch : held_out.micro_batches(0, communicator.rank(), communicator.size(), micro_batch_size))
    sum += strategy.forward_loss(on_device(batch, communicator.devices().front()));
  auto total = at::scalar_tensor(sum, at::kDouble);
  communicator.all_reduce(total).wait();
  const auto tokens = held_out.rows(0).supervised_tokens;
  return {.loss = total.item<double>() / static_cast<double>(tokens), .tokens = tokens};
}

}  // namespace herd
