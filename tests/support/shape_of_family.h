#pragma once
#include "models/model_options.h"
#include "models/registry.h"

namespace herd::test {

/// A shape in the words that a family has: what it does not know is left out, what it cannot do without is added. Heads are to be 4, their width a
/// multiple of four.
inline ModelShape shape_of_family(const std::string& family, ModelShape shape) {
  const auto& words = families().at(family).words;
  if (!words.contains("intermediate_size")) shape.intermediate_size = 0;
  if (!words.contains("num_key_value_heads")) shape.num_key_value_heads.reset();
  if (!words.contains("head_dim")) shape.head_dim.reset();
  else if (!shape.head_dim) shape.head_dim = shape.hidden_size / shape.num_attention_heads;
  if (!words.contains("sliding_window")) shape.sliding_window.reset();
  if (words.contains("rotary_dim")) shape.rotary_dim = 4;
  return shape;
}

}  // namespace herd::test
