#include "peft/lora_start.h"

#include <ATen/Parallel.h>

#include <cmath>

#include "peft/select.h"

namespace herd {
namespace {

// LAPACK's results depend on how many threads share the work.
class OneThread {
 public:
  OneThread() { at::set_num_threads(1); }
  ~OneThread() { at::set_num_threads(before_); }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int before_ = at::get_num_threads();
};

Tensor whole(const Parameter& p, const ParameterValues& values) {
  if (!values || !p.trainable) return p.value.detach();
  std::vector<Tensor> pieces;
  values(p, [&](const Tensor& piece) { pieces.push_back(piece.reshape(-1).clone()); });
  return at::cat(pieces).view(p.value.sizes());
}

std::string without(const std::string& name, std::string_view end) { return name.substr(0, name.size() - end.size()); }

}  // namespace

std::pair<Tensor, Tensor> pissa(const Tensor& weight, std::int64_t r, double s) {
  at::NoGradGuard no_grad;
  const OneThread alone;
  const auto [u, values, vt] = at::linalg_svd(weight.to(at::kFloat), false);
  const auto root = (values.narrow(0, 0, r) / s).sqrt();
  return {root.unsqueeze(1) * vt.narrow(0, 0, r), u.narrow(1, 0, r) * root};
}

std::pair<Tensor, Tensor> olora(const Tensor& weight, std::int64_t r) {
  at::NoGradGuard no_grad;
  const OneThread alone;
  const auto [q, upper] = at::linalg_qr(weight.to(at::kFloat));
  return {upper.narrow(0, 0, r), q.narrow(1, 0, r)};
}

std::vector<TensorToWrite> as_plain_lora(CausalLm& model, PeftOptions& options, const ParameterValues& values) {
  std::map<std::string, const Parameter*> firsts;
  for_each_parameter(model, [&](const std::string&, Parameter& p) {
    if (p.name.ends_with(kFirstA) || p.name.ends_with(kFirstB)) firsts[p.name] = &p;
  });
  NamedTensors tensors;
  for (const auto* p : trained_parameters(model)) {
    const bool a = p->name.ends_with(".lora_A.weight"), b = p->name.ends_with(".lora_B.weight");
    const auto value = whole(*p, values);
    if (a) tensors.emplace_back(p->name, at::cat({value, firsts.at(without(p->name, "lora_A.weight") + kFirstA)->value.detach()}));
    else if (b) tensors.emplace_back(p->name, at::cat({value, -firsts.at(without(p->name, "lora_B.weight") + kFirstB)->value.detach()}, 1));
    else tensors.emplace_back(p->name, value);
  }
  const double more = options.use_rslora ? std::sqrt(2.0) : 2;
  options.r *= 2;
  options.alpha *= more;
  for (auto& [name, r] : options.rank_pattern.values) r *= 2;
  for (auto& [name, alpha] : options.alpha_pattern.values) alpha *= more;
  options.init = AdapterInit::kNoChange;
  return to_write(tensors);
}

}  // namespace herd
