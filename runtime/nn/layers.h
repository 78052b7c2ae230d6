#pragma once
#include "runtime/nn/linear.h"

namespace herd {

/// Rows of a matrix [vocab, d] by token; or by position, where a family learns a vector for each.
struct Embedding {
  Parameter weight;
  Embedding() = default;
  /// @param axis logical name of the rows: vocab or positions.
  Embedding(std::int64_t rows, std::int64_t width, std::string axis = "vocab") : weight({rows, width}, {std::move(axis), "embed"}) {}
  /// @throws DataError for an id that has no row, on any device.
  Tensor operator()(const Tensor& ids_bt);
  void visit(Visitor& v) { v("weight", weight); }
};

/// y = w · x / sqrt(mean(x²) + eps), the mean in fp32 (Zhang & Sennrich 2019).
struct RmsNorm {
  Parameter weight;
  double eps = 1e-6;
  RmsNorm() = default;
  RmsNorm(std::int64_t width, double epsilon) : weight({width}, {"embed"}, Init::kOnes), eps(epsilon) {}
  Tensor operator()(const Tensor& x);
  void visit(Visitor& v) { v("weight", weight); }
};

/// y = w · (x − mean) / sqrt(variance + eps) + bias (Ba et al. 2016).
struct LayerNorm {
  Parameter weight, bias;
  double eps = 1e-5;
  LayerNorm() = default;
  LayerNorm(std::int64_t width, double epsilon) : weight({width}, {"embed"}, Init::kOnes), bias({width}, {"embed"}, Init::kZeros), eps(epsilon) {}
  Tensor operator()(const Tensor& x);
  void visit(Visitor& v) { v("weight", weight), v("bias", bias); }
};

/// RMSNorm as a function: x [..., d], w [d]; saves x and one number a row for the backward.
Tensor rms_norm(const Tensor& x, const Tensor& w, double eps);

/// silu(gate) · up, the two operands kept for the backward and nothing else (Shazeer 2020, SwiGLU).
Tensor silu_mul(const Tensor& gate, const Tensor& up);

/// x/2 · (1 + tanh(√(2/π) (x + 0.044715 x³))): the tanh form of GELU (Hendrycks & Gimpel 2016), which the hub calls gelu_new.
Tensor gelu_tanh(const Tensor& x);

}  // namespace herd
