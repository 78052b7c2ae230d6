#include "runtime/nn/on_device.h"

namespace herd {

Batch on_device(Batch batch, at::Device device) {
  for (auto* tensor : {&batch.tokens_bt, &batch.labels_bt, &batch.positions_bt})
    if (tensor->defined()) *tensor = tensor->to(device);
  return batch;
}

}  // namespace herd
