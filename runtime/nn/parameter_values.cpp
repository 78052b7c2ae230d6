#include "runtime/nn/parameter_values.h"

namespace herd {

TensorToWrite to_write(const std::string& name, const Parameter& parameter, const ParameterValues& values) {
  if (!values) return to_write(NamedTensors{{name, parameter.value.detach()}}).front();
  return {name, parameter.value.scalar_type(), parameter.value.sizes().vec(), [&parameter, values](const TakePiece& take) { values(parameter, take); }};
}

}  // namespace herd
