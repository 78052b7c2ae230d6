#include "peft/freeze.h"

#include <cstdlib>
#include <map>
#include <sstream>

#include "peft/select.h"
#include "runtime/base/error.h"
#include "runtime/base/text.h"

namespace herd {
namespace {

std::string module_of(const std::string& parameter) { return parameter.substr(0, parameter.rfind('.')); }

template <class F>
void train_in(CausalLm& model, void (CausalLm::*visit)(Visitor&), F wanted) {
  struct Each final : Visitor {
    explicit Each(F& f) : wanted_(f) {}
    void on_parameter(const std::string& name, Parameter& p) override {
      if (wanted_(name, p)) p.set_trainable(true);
    }
    F& wanted_;
  } each(wanted);
  (model.*visit)(each);
}

// A norm is a module without a matrix.
void train_norms(CausalLm& model) {
  std::map<std::string, std::int64_t> dims;
  for_each_parameter(model, [&](const std::string& name, Parameter& p) {
    auto& most = dims[module_of(name)];
    most = std::max(most, p.value.dim());
  });
  for_each_parameter(model, [&](const std::string& name, Parameter& p) {
    if (dims.at(module_of(name)) == 1) p.set_trainable(true);
  });
}

void train_blocks(CausalLm& model, std::int64_t count, const std::vector<std::string>& modules) {
  const auto all = static_cast<std::int64_t>(model.blocks.size()), taken = std::abs(count);
  if (taken > all)
    throw ConfigError({.who = "peft.trainable_blocks",
                       .found = std::to_string(count),
                       .expected = "at most " + std::to_string(all) + " blocks, or -" + std::to_string(all),
                       .remedy = ""});
  std::vector<std::string> known, unused = modules;
  for (auto i = count < 0 ? 0 : all - taken; i < (count < 0 ? taken : all); ++i)
    for_each_parameter(*model.blocks[static_cast<std::size_t>(i)], [&](const std::string& name, Parameter& p) {
      std::istringstream parts(module_of(name));
      for (std::string part; std::getline(parts, part, '.');)
        if (std::find(known.begin(), known.end(), part) == known.end()) known.push_back(part);
      const auto chosen = std::find_if(modules.begin(), modules.end(), [&](const std::string& module) {
        return ("." + name).find("." + module + ".") != std::string::npos;
      });
      if (!modules.empty() && chosen == modules.end()) return;
      p.set_trainable(true);
      if (chosen != modules.end()) std::erase(unused, *chosen);
    });
  if (unused.empty() || taken == 0) return;
  const auto close = nearest(unused.front(), known);
  throw ConfigError({.who = "peft.trainable_modules",
                     .found = "'" + unused.front() + "', which names no module of a block of this " + model.facts.family,
                     .expected = "some of " + join(known),
                     .remedy = close.empty() ? "" : "did you mean '" + close + "'?"});
}

}  // namespace

void attach_bitfit(CausalLm& model, const PeftOptions& /*options*/, const PeftStart& /*start*/) {
  freeze(model);
  bool any = false;
  for_each_parameter(model, [&](const std::string& name, Parameter& p) {
    if (!name.ends_with(".bias")) return;
    p.set_trainable(true);
    any = true;
  });
  if (!any)
    throw ConfigError({.who = "peft.method=bitfit",
                       .found = "a " + model.facts.family + " without biases",
                       .expected = "a model that has some: it trains nothing else",
                       .remedy = "peft.method=ia3 trains as few parameters"});
}

void attach_freeze(CausalLm& model, const PeftOptions& o, const PeftStart& /*start*/) {
  freeze(model);
  train_blocks(model, o.trainable_blocks, o.trainable_modules);
  const auto asked = [&](const char* part) {
    return std::find(o.trainable_parts.begin(), o.trainable_parts.end(), part) != o.trainable_parts.end();
  };
  const auto matrices = [](const std::string&, const Parameter& p) { return p.value.dim() > 1; };
  if (asked("embedding")) train_in(model, &CausalLm::visit_embedding, matrices);
  if (asked("head") && model.facts.tied)
    throw ConfigError(
        {.who = "peft.trainable_parts", .found = "head", .expected = "embedding: this model's head is its embedding matrix", .remedy = ""});
  if (asked("head")) for_each_parameter(model.head(), [](const std::string&, Parameter& p) { p.set_trainable(true); });
  if (asked("norms")) train_norms(model);
  model.tie();
  if (trained_parameters(model).empty())
    throw ConfigError({.who = "peft.method=freeze",
                       .found = "nothing to train",
                       .expected = "blocks (peft.trainable_blocks) or parts (peft.trainable_parts)",
                       .remedy = ""});
}

}  // namespace herd
