#include "runtime/nn/parameter.h"

#include <cmath>

#include "runtime/base/error.h"
#include "runtime/base/random.h"

namespace herd {
namespace {

// Bytes are a part of a quantised weight (quantised_weight.h): they are bytes whatever the model's dtype is, and frozen.
bool is_bytes(const Parameter& parameter) { return parameter.value.scalar_type() == at::kByte; }
at::ScalarType kept_in(const Parameter& parameter, at::ScalarType dtype) { return is_bytes(parameter) ? at::kByte : dtype; }

}  // namespace

Parameter::Parameter(at::IntArrayRef shape, std::vector<std::string> axis_names, Init how)
    : value(at::empty(shape, at::TensorOptions().device(at::kMeta).dtype(at::kFloat))), axes(std::move(axis_names)), init(how) {
  value.set_requires_grad(true);
}

void Parameter::set_trainable(bool on) {
  if (on && is_bytes(*this))
    throw ConfigError({.who = "parameter '" + name + "'",
                       .found = "a quantised weight",
                       .expected = "a dense one, where it is trained itself",
                       .remedy = "train an adapter (peft.method=lora), keep this module dense (model.quantization.skip_modules), "
                                 "or keep all of them dense (model.quantization=null)"});
  trainable = on;
  value.set_requires_grad(on);
}

void set_dtype(Parameter& parameter, at::ScalarType dtype) {
  parameter.value = at::empty(parameter.value.sizes(), parameter.value.options().dtype(kept_in(parameter, dtype)).requires_grad(false));
  parameter.value.set_requires_grad(parameter.trainable);
}

void materialise(Parameter& parameter, at::ScalarType dtype) {
  parameter.value = at::empty(parameter.value.sizes(), at::TensorOptions().dtype(kept_in(parameter, dtype)));
  parameter.value.set_requires_grad(parameter.trainable);
}

void fill(Parameter& parameter, const ReadParameter& read) {
  at::NoGradGuard no_grad;
  materialise(parameter, parameter.value.scalar_type());
  read(parameter, 0, parameter.value.detach().view(-1));
}

namespace {

template <class Draw>
void fill_drawn(Parameter& parameter, std::uint64_t seed, const Draw& draw) {
  at::NoGradGuard no_grad;
  auto filled = at::empty(parameter.value.sizes(), at::kFloat);
  Random random(seed, hash_name(parameter.name));
  auto* data = filled.data_ptr<float>();
  for (std::int64_t i = 0; i < filled.numel(); ++i) data[i] = draw(random);
  parameter.value.copy_(filled);
}

}  // namespace

void initialise_uniform(Parameter& parameter, std::uint64_t seed, double bound) {
  fill_drawn(parameter, seed, [&](Random& random) { return static_cast<float>(bound) * (2 * random.uniform() - 1); });
}

void initialise(Parameter& parameter, std::uint64_t seed, double std_dev) {
  if (parameter.init == Init::kZeros || parameter.init == Init::kOnes) {
    at::NoGradGuard no_grad;
    parameter.value.fill_(parameter.init == Init::kOnes ? 1 : 0);
  } else if (parameter.init == Init::kNormal) {
    fill_drawn(parameter, seed, [&](Random& random) { return static_cast<float>(std_dev) * random.normal(); });
  } else {
    // PyTorch's Linear default: kaiming_uniform with a = sqrt(5), which is uniform in ±1/sqrt(fan_in) (He et al. 2015).
    initialise_uniform(parameter, seed, 1.0f / std::sqrt(static_cast<float>(parameter.value.size(-1))));
  }
}

}  // namespace herd
