#include "train/resume.h"

namespace herd {

std::vector<NamedSlice> checkpoint_slices(AdamW& optimizer) {
  std::vector<NamedSlice> slices;
  optimizer.for_each_state([&](const Slice& slice, const std::string& kind, Tensor& state) {
    const auto& parameter = *slice.parameter;
    slices.push_back({kind, parameter.name, parameter.value.sizes().vec(), slice.begin, slice.end, state});
  });
  return slices;
}

}  // namespace herd
