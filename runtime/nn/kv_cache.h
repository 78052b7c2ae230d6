#pragma once
#include <vector>

#include "runtime/base/tensor.h"

namespace herd {

/// The keys, or the values, of one text's tokens in one layer: as they are, or in eight bits.
struct KvSlab {
  Tensor numbers{};  ///< [capacity, k, e], contiguous, in the activations' dtype; int8: each number is code · scale of its token and head
  Tensor scales{};   ///< of int8: fp32 [capacity, k]; else undefined

  KvSlab() = default;
  /// Of numbers as they are.
  explicit KvSlab(Tensor numbers_cke) : numbers(std::move(numbers_cke)) {}
  /// Room, not filled. @param options device, and the activations' dtype. @param int8 a token and head cost e + 4 bytes.
  KvSlab(std::int64_t capacity, std::int64_t kv_heads, std::int64_t width, const at::TensorOptions& options, bool int8);

  bool is_int8() const { return scales.defined(); }
  std::int64_t capacity() const { return numbers.defined() ? numbers.size(0) : 0; }
  /// Tokens [t, k, e] from place `at` on. In eight bits each head of a token is rounded by itself: to the nearest of 255 numbers up to its greatest magnitude.
  void put(std::int64_t at, const Tensor& x_tke);
  /// @return [count, k, e] of that dtype; of a slab that is not int8 its own memory.
  Tensor get(std::int64_t at, std::int64_t count, at::ScalarType dtype) const;
  void copy_beginning(const KvSlab& from, std::int64_t count);
};

/// Keys and values of one text's tokens so far, for generation.
struct KvText {
  std::vector<KvSlab> keys{}, values{};  ///< one a layer
  std::int64_t length = 0;               ///< tokens held; what AttentionLayout::past puts before them is held too and not counted
  /// Left here with the first tokens by families whose later positions depend on them (ChatGLM): the text's prefix (AttentionLayout), a position.
  std::int64_t prefix = 0, mark = 0;
};

/// Those of a batch's rows, a text each. All are empty, or none is.
struct KvCache {
  std::vector<KvText*> texts{};

  bool empty() const { return texts.front()->length == 0; }
  /// Call once after all layers have seen `added[row]` more tokens.
  void advance(const std::vector<std::int64_t>& added) {
    for (std::size_t row = 0; row < texts.size(); ++row) texts[row]->length += added[row];
  }
};

}  // namespace herd
