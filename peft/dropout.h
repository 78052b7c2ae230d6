#pragma once
#include <span>
#include <string>

#include "runtime/nn/causal_lm.h"

namespace herd {

/// Dropout of a layer's input whose mask does not depend on how rows lie on ranks, micro-batches and threads.
class KeyedDropout {
 public:
  /// @param probability in [0, 1), kept to 16 bits. @param name of the layer: layers drop independently.
  KeyedDropout(double probability, const std::string& name, std::shared_ptr<const RandomKeys> keys);

  /// Whether this pass drops anything: in training, with a probability above zero.
  bool active() const { return threshold_ > 0 && keys_->training; }
  /// The mask of x [rows, …], bool, true where an element stays: element i of a row is decided by 16 bits, the (i / 16 % 8)-th, of Philox
  /// at (i / 128 · 16 + i % 16, row id) under a key of (seed, step, layer). Padding a row further does not move it. @throws ShapeError
  /// where x's rows are not those of the random keys.
  Tensor mask(const Tensor& x) const;
  /// x with elements dropped, what stays scaled: for what is made once for all rows. The same in every micro-batch of a step.
  Tensor of_all_rows(const Tensor& x) const;
  /// What stays is multiplied by this.
  double scale() const { return 65536.0 / (65536.0 - threshold_); }

 private:
  Tensor decide(const Tensor& x, std::span<const std::int64_t> row_ids) const;
  std::uint32_t threshold_;
  std::uint64_t name_;
  std::shared_ptr<const RandomKeys> keys_;
};

}  // namespace herd
