#pragma once
#include <vector>

#include "runtime/base/tensor.h"

namespace herd {

/// Keys and values of one text's tokens so far, for generation.
struct KvText {
  std::vector<Tensor> keys{}, values{};  ///< one a layer: [capacity, k, e], contiguous
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
