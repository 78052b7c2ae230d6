#include "peft/dropout.h"

#include <ATen/Parallel.h>

#include <cmath>

#include "runtime/base/error.h"
#include "runtime/base/random.h"

namespace herd {
namespace {

// gcc compiles the function for each vector width and picks one when the program starts.
#if defined(__x86_64__) && defined(__gnu_linux__) && !defined(__clang__)
#define HERD_VECTOR_CLONES __attribute__((target_clones("avx512f", "avx2", "default"), optimize("O3")))
#else
#define HERD_VECTOR_CLONES
#endif

// A group is sixteen Philox blocks, one a lane, of which each decides eight elements by 16 bits.
constexpr std::int64_t kLanes = 16, kGroup = 8 * kLanes;
using Lanes = std::uint64_t __attribute__((vector_size(kLanes * 8)));

// herd::philox for the counters (16 · group + lane, row), all lanes at once, and what it decides.
HERD_VECTOR_CLONES void decide_group(std::uint64_t key, std::uint64_t group, std::uint64_t row, std::uint32_t threshold, bool* kept) {
  constexpr std::uint64_t kMultiply0 = 0xD2511F53, kMultiply1 = 0xCD9E8D57, kLow = 0xffffffff;
  constexpr std::uint32_t kWeyl0 = 0x9E3779B9, kWeyl1 = 0xBB67AE85;
  Lanes low{};
  for (std::int64_t l = 0; l < kLanes; ++l) low[l] = group * kLanes + static_cast<std::uint64_t>(l);
  Lanes c[4] = {low & kLow, low >> 32, Lanes{} + (row & kLow), Lanes{} + (row >> 32)};
  auto k0 = static_cast<std::uint32_t>(key), k1 = static_cast<std::uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round, k0 += kWeyl0, k1 += kWeyl1) {
    const Lanes p0 = kMultiply0 * c[0], p1 = kMultiply1 * c[2];
    c[0] = (p1 >> 32) ^ c[1] ^ std::uint64_t{k0};
    c[1] = p1 & kLow;
    c[2] = (p0 >> 32) ^ c[3] ^ std::uint64_t{k1};
    c[3] = p0 & kLow;
  }
  for (std::int64_t word = 0; word < 4; ++word)
    for (std::int64_t half = 0; half < 2; ++half) {
      std::uint32_t bits[kLanes];
      for (std::int64_t l = 0; l < kLanes; ++l) bits[l] = static_cast<std::uint32_t>(c[word][l]) >> (16 * half) & 0xffff;
      for (std::int64_t l = 0; l < kLanes; ++l) kept[(2 * word + half) * kLanes + l] = bits[l] >= threshold;
    }
}

// The mask of one row's elements [begin, end), begin a multiple of kGroup.
void decide_row(std::uint64_t key, std::uint64_t row_id, std::uint32_t threshold, std::int64_t begin, std::int64_t end, bool* kept) {
  auto at = begin;
  for (; at + kGroup <= end; at += kGroup) decide_group(key, static_cast<std::uint64_t>(at / kGroup), row_id, threshold, kept + at);
  if (at == end) return;
  bool last[kGroup];
  decide_group(key, static_cast<std::uint64_t>(at / kGroup), row_id, threshold, last);
  std::copy_n(last, end - at, kept + at);
}

}  // namespace

KeyedDropout::KeyedDropout(double probability, const std::string& name, std::shared_ptr<const RandomKeys> keys)
    : threshold_(static_cast<std::uint32_t>(std::lround(probability * 65536))), name_(hash_name(name)), keys_(std::move(keys)) {}

Tensor KeyedDropout::mask(const Tensor& x) const {
  const auto rows = x.size(0);
  if (rows != static_cast<std::int64_t>(keys_->row_ids.size()))
    throw ShapeError({.who = "dropout",
                      .found = std::to_string(rows) + " rows",
                      .expected = std::to_string(keys_->row_ids.size()) + ", the rows of the micro-batch",
                      .remedy = ""});
  return decide(x, keys_->row_ids);
}

Tensor KeyedDropout::of_all_rows(const Tensor& x) const {
  constexpr std::int64_t kOne[] = {0};
  return active() ? x * decide(x.unsqueeze(0), kOne).squeeze(0) * scale() : x;
}

Tensor KeyedDropout::decide(const Tensor& x, std::span<const std::int64_t> row_ids) const {
  const auto rows = x.size(0);
  if (x.is_meta()) return at::empty(x.sizes(), x.options().dtype(at::kBool));
  auto kept = at::empty(x.sizes(), at::kBool);
  if (kept.numel() == 0) return kept;
  const auto words = philox(keys_->seed, static_cast<std::uint64_t>(keys_->step), name_);
  const auto key = static_cast<std::uint64_t>(words[1]) << 32 | words[0];
  constexpr std::int64_t kPiece = 64 * kGroup;  // elements a thread takes at a time
  const auto width = kept.numel() / rows, pieces = (width + kPiece - 1) / kPiece;
  auto* out = kept.data_ptr<bool>();
  at::parallel_for(0, rows * pieces, 4, [&](std::int64_t begin, std::int64_t end) {
    for (auto i = begin; i < end; ++i) {
      const auto row = i / pieces, first = i % pieces * kPiece;
      decide_row(key, static_cast<std::uint64_t>(row_ids[static_cast<std::size_t>(row)]), threshold_, first,
                 std::min(width, first + kPiece), out + row * width);
    }
  });
  return kept.to(x.device());
}

}  // namespace herd
