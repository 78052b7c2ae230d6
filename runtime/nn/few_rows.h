#pragma once
#include <cstdint>

#include "runtime/nn/kernels.h"

// Products of a weight with a few rows, as a new token of each of a few texts asks for: bound by reading the weight once.
namespace herd::kernel {

/// y[r, o] = x[r, :] · w[o, :] for all rows and the outputs o in [first, last); x [rows, in], w [out, in], y [rows, out], all contiguous.
/// Sums are fp32, in an order that neither the rows beside nor the outputs decide: a row's numbers are the same in any company.
void few_rows(const float* x, const float* w, float* y, std::int64_t rows, std::int64_t in, std::int64_t out, std::int64_t first, std::int64_t last);
void few_rows(const Bf16* x, const Bf16* w, Bf16* y, std::int64_t rows, std::int64_t in, std::int64_t out, std::int64_t first, std::int64_t last);

}  // namespace herd::kernel
