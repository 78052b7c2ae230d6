#include "train/resume.h"

namespace herd {

std::vector<NamedSlice> checkpoint_slices(AdamW& optimizer, StepRule* rule) {
  std::vector<NamedSlice> slices;
  const auto add = [&](const Slice& slice, const std::string& kind, Tensor& state) {
    const auto& parameter = *slice.parameter;
    slices.push_back({kind, parameter.name, parameter.value.sizes().vec(), slice.begin, slice.end, state});
  };
  optimizer.for_each_state(add);
  if (rule) rule->for_each_state(add);
  return slices;
}

}  // namespace herd
