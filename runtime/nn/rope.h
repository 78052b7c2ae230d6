#pragma once
#include <cstdint>

#include "runtime/nn/batch.h"

namespace herd {

/// Rotary position embedding (Su et al. 2021) and its length scalings as `config.json` names them.
struct RopeOptions {
  enum class Scaling { kNone, kLinear, kDynamic, kLlama3 };
  double theta = 10000;
  std::int64_t dim = 0;             ///< of a head's width what is rotated: even, all of it or its first part (GPT-J, ChatGLM2)
  bool interleaved = false;         ///< pairs (2j, 2j + 1), as in the paper, GPT-J and ChatGLM2; else half-split (j, j + dim/2)
  std::int64_t max_positions = 0;   ///< max_position_embeddings
  Scaling scaling = Scaling::kNone;
  double factor = 1;
  double low_freq_factor = 1, high_freq_factor = 4;  ///< llama3
  std::int64_t original_max_positions = 8192;        ///< llama3
};

/// cos and sin of every token's angles: fp32 [b, t, dim/2].
struct RopeTable {
  Tensor cos, sin;
  bool interleaved = false;
};

/// Angular frequencies [dim/2], fp32, for a text of `length` tokens (only `dynamic` depends on it).
Tensor rope_frequencies(const RopeOptions& options, std::int64_t length);
/// The table of a batch. A text's angles depend on that text alone: `dynamic` stretches each segment by its own length.
RopeTable rope_table(const RopeOptions& options, const Batch& batch);
/// The same for positions [b, t] that are not the batch's own; without `dynamic`.
RopeTable rope_table(const RopeOptions& options, const Tensor& positions_bt);

/// Rotates the first dim elements of x [b, t, h, e]'s heads, in fp32, back to x's dtype; the others pass.
Tensor rope(const Tensor& x_bthe, const RopeTable& table);

}  // namespace herd
