#pragma once
#include <cstdint>

#include "runtime/nn/kernels.h"

// Rows in eight bits, over plain memory: each number is a whole one between −127 and 127 times its row's greatest magnitude over 127
// (Dettmers et al. 2022, "LLM.int8()", section 2.1).
namespace herd::kernel {

/// @return the row's greatest magnitude. A row of zeros has codes of zero.
float quantise_int8(const float* x, std::int64_t n, std::int8_t* codes);
/// The same of an input, whose numbers of magnitude `threshold` or more are left out: their codes are zero and they do not count. 0: none is.
/// @param left_out whether any was. @return the greatest of the others.
float quantise_int8(const float* x, std::int64_t n, float threshold, std::int8_t* codes, bool& left_out);

void dequantise(const std::int8_t* codes, float absmax, std::int64_t n, float* out);
void dequantise(const std::int8_t* codes, float absmax, std::int64_t n, Bf16* out);

/// Exact while n is below 133,000.
std::int32_t dot(const std::int8_t* a, const std::int8_t* b, std::int64_t n);

/// y = products · x_absmax · w_absmax / 127² + rest, for n columns. @param rest what was left out of the products, or null.
void scale_products(const std::int32_t* products, float x_absmax, const float* w_absmax, const float* rest, std::int64_t n, float* y);
void scale_products(const std::int32_t* products, float x_absmax, const float* w_absmax, const float* rest, std::int64_t n, Bf16* y);

}  // namespace herd::kernel
