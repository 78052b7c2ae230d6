#include "runtime/nn/autograd.h"

#include <torch/csrc/autograd/autograd.h>

namespace herd {

void backward(const Tensor& output, const Tensor& grad) { torch::autograd::backward({output}, {grad}); }

}  // namespace herd
