#pragma once
#include <cstdint>

#include "runtime/nn/kernels.h"

namespace herd::kernel {

/// Whether this processor multiplies pairs of bfloat16 (AVX512_BF16): twice the products a cycle of fp32.
bool has_bf16_products();
/// few_rows by them. Products are exact, sums fp32; numbers below 2⁻¹²⁶ count as zero.
void few_rows_bf16(const Bf16* x, const Bf16* w, Bf16* y, std::int64_t rows, std::int64_t in, std::int64_t out, std::int64_t first, std::int64_t last);

/// few_rows on any processor: numbers are made fp32 first.
void few_rows_widened(const Bf16* x, const Bf16* w, Bf16* y, std::int64_t rows, std::int64_t in, std::int64_t out, std::int64_t first, std::int64_t last);

}  // namespace herd::kernel
