#include "peft/start.h"

#include "peft/select.h"
#include "runtime/base/error.h"

namespace herd {

void begin(Parameter& parameter, const std::string& name, Linear& layer, const PeftStart& start) {
  const auto dtype = layer.has_dense_weight() ? wide_type(layer.weight().value.scalar_type()) : at::kFloat;
  parameter.name = kPeftPrefix + name;
  set_dtype(parameter, dtype);
  if (!start.seed) return;
  materialise(parameter, dtype);
  initialise(parameter, *start.seed);
}

Tensor base_matrix(const std::string& name, Linear& layer, const PeftStart& start) {
  at::NoGradGuard no_grad;
  std::vector<std::pair<Parameter*, Tensor>> borrowed;
  struct Each final : Visitor {
    void on_parameter(const std::string&, Parameter& p) override { found.push_back(&p); }
    std::vector<Parameter*> found;
  } each;
  layer.storage().visit(each);
  for (auto* p : each.found) {
    if (!p->value.is_meta()) continue;
    if (!start.read)
      throw ConfigError({.who = name,
                         .found = "no values",
                         .expected = "the base's weights, which this start is made of",
                         .remedy = "give the base model's folder with its weights"});
    borrowed.emplace_back(p, p->value);
    fill(*p, start.read);
  }
  auto matrix = layer.storage().dense();
  for (auto& [p, meta] : borrowed) p->value = meta;
  return matrix;
}

}  // namespace herd
