#include "peft/kept_ranks.h"

#include <algorithm>

#include "peft/select.h"

namespace herd {

const std::vector<bool>* kept_ranks_of(const PeftOptions& options, const std::string& layer) {
  const auto found = options.kept_ranks.find(layer);
  return found == options.kept_ranks.end() ? nullptr : &found->second;
}

TensorToWrite without_ranks_given_up(const Parameter& parameter, const PeftOptions& options, const ParameterValues& values) {
  const auto dot = parameter.name.rfind(".lora_");
  if (dot == std::string::npos || options.kept_ranks.empty()) return to_write(parameter.name, parameter, values);
  const auto start = std::string_view(kPeftPrefix).size();
  const auto* kept = kept_ranks_of(options, parameter.name.substr(start, dot - start));
  const auto axis = parameter.name.ends_with("lora_B") ? 1 : 0;
  // Ranks that a folder did not hold are not in the model either.
  if (!kept || std::count(kept->begin(), kept->end(), true) == parameter.value.size(axis)) return to_write(parameter.name, parameter, values);
  at::NoGradGuard no_grad;
  auto whole = parameter.value.detach();
  if (values) {
    std::vector<Tensor> pieces;
    values(parameter, [&](const Tensor& piece) { pieces.push_back(piece.reshape(-1).clone()); });
    whole = at::cat(pieces).view(whole.sizes());
  }
  std::vector<std::int64_t> ranks;
  for (std::size_t i = 0; i < kept->size(); ++i)
    if ((*kept)[i]) ranks.push_back(static_cast<std::int64_t>(i));
  const auto index = at::tensor(at::ArrayRef<std::int64_t>(ranks), at::kLong).to(whole.device());
  return to_write(NamedTensors{{parameter.name, whole.index_select(axis, index).cpu()}}).front();
}

}  // namespace herd
