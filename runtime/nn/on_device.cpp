#include "runtime/nn/on_device.h"

namespace herd {

void move_to(CausalLm& model, at::Device device) {
  for_each_parameter(model, [&](const std::string&, Parameter& p) {
    const bool learns = p.value.requires_grad();
    p.value = p.value.detach().to(device);
    p.value.set_requires_grad(learns);
  });
  model.tie();
}

Batch on_device(Batch batch, at::Device device) {
  for (auto* tensor : {&batch.tokens_bt, &batch.labels_bt, &batch.positions_bt})
    if (tensor->defined()) *tensor = tensor->to(device);
  return batch;
}

}  // namespace herd
