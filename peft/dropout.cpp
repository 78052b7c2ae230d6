#include "peft/dropout.h"

#include <ATen/Parallel.h>

#include <cmath>

#include "runtime/base/error.h"
#include "runtime/base/random.h"

namespace herd {

KeyedDropout::KeyedDropout(double probability, const std::string& name, std::shared_ptr<const RandomKeys> keys)
    : threshold_(static_cast<std::uint32_t>(std::lround(probability * 65536))), name_(hash_name(name)), keys_(std::move(keys)) {}

Tensor KeyedDropout::mask(const Tensor& x) const {
  const auto rows = x.size(0);
  if (rows != static_cast<std::int64_t>(keys_->row_ids.size()))
    throw ShapeError({.who = "dropout", .found = std::to_string(rows) + " rows", .expected = std::to_string(keys_->row_ids.size()) + ", the rows of the micro-batch", .remedy = ""});
  auto kept = at::empty(x.sizes(), at::kBool);
  if (rows == 0) return kept;
  const auto words = philox(keys_->seed, static_cast<std::uint64_t>(keys_->step), name_);
  const auto key = static_cast<std::uint64_t>(words[1]) << 32 | words[0];
  const auto width = kept.numel() / rows;
  constexpr std::int64_t kDraw = 8;  // elements a Philox block of 128 bits decides
  const auto blocks = (width + kDraw - 1) / kDraw;
  auto* out = kept.data_ptr<bool>();
  at::parallel_for(0, rows * blocks, 4096, [&](std::int64_t begin, std::int64_t end) {
    for (auto i = begin; i < end; ++i) {
      const auto row = i / blocks, block = i % blocks;
      const auto random = philox(key, static_cast<std::uint64_t>(block), static_cast<std::uint64_t>(keys_->row_ids[static_cast<std::size_t>(row)]));
      const auto first = block * kDraw, count = std::min(kDraw, width - first);
      for (std::int64_t j = 0; j < count; ++j)
        out[row * width + first + j] = (random[static_cast<std::size_t>(j / 2)] >> (j % 2 * 16) & 0xffff) >= threshold_;
    }
  });
  return kept;
}

}  // namespace herd
