#pragma once
#include <functional>
#include <span>
#include <string>

#include "runtime/nn/slice.h"

namespace herd {

/// What a method does at an optimizer's step beside its slots' forward and backward: adds to the loss, and changes what is trained as it goes.
/// All ranks call it together, each with the slices that it updates; what it decides is the same on any number of them.
class StepRule {
 public:
  virtual ~StepRule() = default;

  /// Adds the gradient of what the method adds to the mean loss. The trained parameters are whole, the slices hold the step's summed gradient.
  /// @param scale of those gradients.
  virtual void add_to_gradients(std::span<Slice> slices, double scale) = 0;
  /// The slices' values have been updated by their gradients, which are clipped by now and of scale 1.
  /// @param step counted from 1. @param sum over the ranks whose slices together are whole, in place.
  virtual void updated(std::span<Slice> slices, std::int64_t step, const std::function<void(Tensor&)>& sum) = 0;
  /// Takes back of a slice's values, as updated() left them, what the rule has decided against.
  virtual void restrict(const Slice& slice, const Tensor& value) const = 0;

  /// What a continuation needs of a slice, 1-d like its gradient, by name.
  virtual void for_each_state(const std::function<void(const Slice&, const std::string& kind, Tensor& state)>& f) = 0;
  /// And what is the same on all ranks, as JSON.
  virtual std::string state() const = 0;
  /// @throws DataError for text that is not state()'s of this model.
  virtual void restore(const std::string& state) = 0;
};

}  // namespace herd
