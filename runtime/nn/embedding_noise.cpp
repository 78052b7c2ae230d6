#include "runtime/nn/embedding_noise.h"

#include <ATen/Parallel.h>

#include <cmath>

#include "runtime/base/error.h"
#include "runtime/base/random.h"
#include "runtime/nn/causal_lm.h"

namespace herd {
namespace {

// Elements [begin, begin + n) of a row's noise, from uniform words in [0, 2³²).
void draw(std::uint64_t key, std::uint64_t row_id, std::int64_t begin, std::int64_t n, float bound, float* out) {
  std::array<std::uint32_t, 4> words{};
  for (auto i = begin; i < begin + n; ++i) {
    if (i == begin || i % 4 == 0) words = philox(key, static_cast<std::uint64_t>(i / 4), row_id);
    *out++ = bound * (static_cast<float>(words[static_cast<std::size_t>(i % 4)]) * 0x1p-31f - 1);
  }
}

}  // namespace

Tensor with_embedding_noise(const Tensor& x_btd, const Batch& batch, const RandomKeys& keys) {
  const auto b = x_btd.size(0), t = x_btd.size(1), d = x_btd.size(2);
  if (b != static_cast<std::int64_t>(keys.row_ids.size()))
    throw ShapeError({.who = "train.neftune_alpha",
                      .found = std::to_string(b) + " rows",
                      .expected = std::to_string(keys.row_ids.size()) + ", the rows of the micro-batch",
                      .remedy = ""});
  if (x_btd.is_meta()) return (x_btd + at::empty(x_btd.sizes(), x_btd.options().dtype(at::kFloat).requires_grad(false))).to(x_btd.scalar_type());
  const auto noise = at::zeros({b, t, d}, at::kFloat);
  const auto words = philox(keys.seed, static_cast<std::uint64_t>(keys.step), hash_name("neftune"));
  const auto key = static_cast<std::uint64_t>(words[1]) << 32 | words[0];
  auto* out = noise.data_ptr<float>();
  for (const auto& s : batch.segments) {
    const auto bound = static_cast<float>(keys.neftune_alpha / std::sqrt(static_cast<double>(s.length() * d)));
    const auto row_id = static_cast<std::uint64_t>(keys.row_ids[static_cast<std::size_t>(s.row)]);
    constexpr std::int64_t kTokens = 8;  // a thread's share at the least
    at::parallel_for(s.begin, s.end, kTokens, [&](std::int64_t begin, std::int64_t end) {
      draw(key, row_id, begin * d, (end - begin) * d, bound, out + (s.row * t + begin) * d);
    });
  }
  return (x_btd + noise.to(x_btd.device())).to(x_btd.scalar_type());  // summed in fp32, rounded once
}

}  // namespace herd
