#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "parallel/strategy.h"
#include "train/train_options.h"

namespace herd {

/// AdamW (Loshchilov & Hutter 2019, algorithm 2) over the slices that this rank updates, bit for bit PyTorch's fused one.
/// Weight decay is not applied to biases and norms (parameters with one dimension). A slice whose parameter is bf16 or fp16 has an
/// fp32 master copy; the parameter is its rounding. fp64 parameters (tests) are updated in fp64.
class AdamW {
 public:
  /// @param on_host states, masters and the update stay in host memory (Ren et al. 2021, ZeRO-Offload, section 4), as they do in any case
  /// for values that lie there.
  /// @param factor a parameter's learning rate over that of the step, for its decay too as in PyTorch's groups; empty: 1.
  AdamW(std::span<Slice> slices, const TrainOptions& options, bool on_host = false, const std::function<double(const Parameter&)>& factor = {});

  /// One update from the slices' gradients.
  /// @param learning_rate of this step.
  void step(double learning_rate);

  /// What a continuation needs of a slice, all 1-d fp32 (fp64 where the parameter is): names are `value` (the master copy, or the parameter
  /// itself where it is fp32), `exp_avg`, `exp_avg_sq`.
  void for_each_state(const std::function<void(const Slice&, const std::string& kind, Tensor& state)>& f);
  std::int64_t steps() const { return steps_; }
  /// Runs f over the values that the updates are made of, and rounds them into the parameters.
  void change_values(const std::function<void(const Slice&, const Tensor& value)>& f);
  /// After the states were overwritten by a checkpoint's: rounds the masters into the parameters.
  void restored(std::int64_t steps);

 private:
  struct Group {
    double weight_decay, learning_rate_factor;
    std::vector<std::size_t> members;  // indices of slices
  };
  Group& group(double weight_decay, double learning_rate_factor);
  void round_masters();

  std::span<Slice> slices_;
  TrainOptions options_;
  // One a slice: values_ is the master copy or the parameter's own memory, grads_ the slice's own or its copy beside values_.
  std::vector<Tensor> values_, grads_, exp_avg_, exp_avg_sq_;
  std::vector<Group> groups_;
  std::int64_t steps_ = 0;
};

}  // namespace herd
