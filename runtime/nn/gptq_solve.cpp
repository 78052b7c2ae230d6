#include "runtime/nn/gptq_solve.h"

#include <cmath>

#include "runtime/base/error.h"

namespace herd {
namespace {

// Columns whose errors are gathered before the rest of the matrix hears of them, as in the paper: the product is worth a matrix then.
constexpr std::int64_t kBlock = 128;

// The upper Cholesky factor of the damped Hessian's inverse. In fp64: the inverse of what fp32 has rounded may not be positive any more.
Tensor inverse_factor(const Tensor& hessian, double damp, const std::string& who) {
  auto h = hessian.to(at::kDouble, /*non_blocking=*/false, /*copy=*/true);
  auto diagonal = h.diagonal();
  diagonal.add_(damp * diagonal.mean().item<double>());
  const auto check = [&](const std::tuple<Tensor, Tensor>& found) {
    if (const auto info = std::get<1>(found).item<int>(); info != 0)
      throw DataError({.who = who,
                       .found = "inputs whose Hessian has no inverse (Cholesky stops at column " + std::to_string(info) + ")",
                       .expected = "a positive definite one",
                       .remedy = "--damp 0.1, or more calibration text"});
    return std::get<0>(found);
  };
  h = check(at::linalg_cholesky_ex(h));
  h = at::cholesky_inverse(h);
  return check(at::linalg_cholesky_ex(h, /*upper=*/true));
}

// The end of the block that begins at a column: no block ends inside a group that began in it, unless the group is longer.
std::int64_t block_end(std::int64_t begin, std::int64_t in, std::int64_t group) {
  const auto whole_groups = group < kBlock ? kBlock / group * group : std::min(kBlock, group - begin % group);
  return std::min(in, begin + whole_groups);
}

}  // namespace

void Hessian::add(const Tensor& x) {
  const auto x_ni = x.reshape({-1, x.size(-1)}).to(at::kFloat);
  if (!sum_.defined()) sum_ = at::zeros({x_ni.size(1), x_ni.size(1)}, at::kFloat);
  sum_.addmm_(x_ni.t(), x_ni);
  count_ += x_ni.size(0);
}

GptqMatrix gptq(const Tensor& w_oi, const Tensor& hessian, const GptqOptions& o, const std::string& who) {
  const at::NoGradGuard no_grad;
  const auto out = w_oi.size(0), in = w_oi.size(1), size = o.group_size == -1 ? in : o.group_size;
  auto h = hessian.clone();
  const auto dead = h.diagonal().eq(0);
  h.diagonal().masked_fill_(dead, 1);
  auto w_io = w_oi.t().masked_fill(dead.unsqueeze(1), 0).contiguous();  // a column lies together
  const auto order = o.act_order ? std::get<1>(at::sort(h.diagonal(), /*stable=*/true, 0, /*descending=*/true)) : at::arange(in, at::kLong);
  if (o.act_order) {
    w_io = w_io.index_select(0, order);
    h = h.index_select(0, order).index_select(1, order);
  }
  const auto u = inverse_factor(h, o.damp, who).to(w_io.scalar_type());

  auto codes_io = at::empty({in, out}, at::kByte);
  std::vector<Tensor> scales, zeros;
  std::optional<GptqGrid> grid;
  for (std::int64_t begin = 0, end = 0; begin < in; begin = end) {
    end = block_end(begin, in, size);
    auto errors_ko = at::empty({end - begin, out}, w_io.options());
    for (auto j = begin; j < end; ++j) {
      if (j % size == 0) {
        grid.emplace(w_io.narrow(0, j, size).t(), o);
        scales.push_back(grid->scale.to(at::kHalf)), zeros.push_back(grid->zero.to(at::kByte));
      }
      const auto w_o1 = w_io[j].unsqueeze(1), codes_o1 = grid->codes(w_o1);
      codes_io[j].copy_(codes_o1.squeeze(1));
      auto error_o = errors_ko[j - begin];
      error_o.copy_((w_o1 - grid->values(codes_o1)).squeeze(1)).div_(u[j][j]);
      if (j + 1 < end) w_io.narrow(0, j + 1, end - j - 1).addr_(u[j].narrow(0, j + 1, end - j - 1), error_o, 1, -1);
    }
    if (end < in) w_io.narrow(0, end, in - end).addmm_(u.narrow(0, begin, end - begin).narrow(1, end, in - end).t(), errors_ko, 1, -1);
  }
  const auto back = std::get<1>(at::sort(order, 0));
  return {.codes = codes_io.index_select(0, back).t().contiguous(),
          .scales = at::cat(scales, 1),
          .zeros = at::cat(zeros, 1),
          .g_idx = back.floor_divide(size).to(at::kInt)};
}

double output_error(const Tensor& w_oi, const Tensor& found_oi, const Tensor& hessian) {
  const auto squared = [&](const Tensor& m) { return at::mm(m, hessian).mul_(m).sum(at::kDouble).item<double>(); };
  const auto all = squared(w_oi);
  return all > 0 ? std::sqrt(squared(w_oi - found_oi) / all) : 0;
}

}  // namespace herd
