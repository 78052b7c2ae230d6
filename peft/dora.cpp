#include "peft/dora.h"

namespace herd {
namespace {

// fp32 rows, squared after the root: the root of that gives the length back bit for bit where B is zero.
Tensor squares_of_rows(const Tensor& w) { return at::linalg_vector_norm(w, 2, at::IntArrayRef{1}).square(); }

// wa_ro: A·Wᵀ
Tensor lengths(const Tensor& squares, const Tensor& wa_ro, const Tensor& a, const Tensor& b, double s) {
  const auto crossed = (wa_ro.t() * b).sum(1), own = (at::mm(b, at::mm(a, a.t())) * b).sum(1);
  return (squares + 2 * s * crossed + s * s * own).clamp_min(0).sqrt();
}

}  // namespace

Tensor RowLengths::operator()(WeightStorage& w, const Tensor& a, const Tensor& b, double s, at::ScalarType compute) {
  at::NoGradGuard no_grad;
  const auto a_ri = a.detach(), b_or = b.detach();
  if (!squares_.defined()) squares_ = squares_of_rows(w.dense()).to(a.scalar_type());
  return lengths(squares_, w.multiply(a_ri.to(compute)).to(a.scalar_type()), a_ri, b_or, s);
}

Tensor RowLengths::of(const Tensor& w, const Tensor& a, const Tensor& b, double s) {
  at::NoGradGuard no_grad;
  const auto a_ri = a.detach(), b_or = b.detach();
  return lengths(squares_of_rows(w).to(a.scalar_type()), at::mm(a_ri, w.to(a.scalar_type()).t()), a_ri, b_or, s);
}

}  // namespace herd
