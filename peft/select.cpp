#include "peft/select.h"

#include <regex>
#include <set>

#include "runtime/base/error.h"
#include "runtime/base/text.h"

namespace herd {
namespace {

constexpr const char* kAllLinear = "all-linear";

std::string last_part(const std::string& name) { return name.substr(name.rfind('.') + 1); }
std::string parent_of(const std::string& name) { return name.substr(0, name.rfind('.')); }

// "q_proj, k_proj, …": what a list may name.
std::vector<std::string> last_parts(const std::vector<NamedLinear>& linears) {
  std::vector<std::string> out;
  for (const auto& [name, linear] : linears)
    if (const auto part = last_part(name); std::find(out.begin(), out.end(), part) == out.end()) out.push_back(part);
  return out;
}

std::string nearest_hint(const std::string& wrong, const std::vector<std::string>& known) {
  const auto close = nearest(last_part(wrong), known);
  return close.empty() ? "" : "did you mean '" + close + "'?";
}

bool names_module(const std::string& entry, const std::string& name) { return name == entry || name.ends_with("." + entry); }

// PEFT leaves targets out that modules_to_save names: a part of the name, after a dot or at its start, up to a dot or its end.
bool is_saved_whole(const std::string& name, const std::vector<std::string>& modules_to_save) {
  return std::any_of(modules_to_save.begin(), modules_to_save.end(),
                     [&](const std::string& m) { return ("." + name + ".").find("." + m + ".") != std::string::npos; });
}

std::regex pattern_of(const std::string& who, const std::string& text) {
  try {
    return std::regex(text, std::regex::ECMAScript | std::regex::optimize);
  } catch (const std::regex_error&) {
    throw ConfigError({.who = who,
                       .found = "'" + text + "'",
                       .expected = "a regular expression (ECMAScript's grammar) for whole module names",
                       .remedy = ""});
  }
}

ConfigError nothing_matches(const std::string& entry, const CausalLm& model, const std::vector<NamedLinear>& linears) {
  auto remedy = nearest_hint(entry, last_parts(linears));
  const auto part = last_part(entry);
  if (part == "embed_tokens") remedy = "embeddings have no update; name them in peft.modules_to_save to train them whole";
  if (part == "lm_head" && model.facts.tied) remedy = "this model's head is its embedding matrix; leave it out";
  return ConfigError({.who = "peft.target_modules",
                      .found = "'" + entry + "', which names no linear layer of this " + model.facts.family,
                      .expected = "one of " + join(last_parts(linears)),
                      .remedy = remedy});
}

}  // namespace

std::function<bool(const std::string&)> module_names(const std::string& who, const OneOrMany& entries) {
  if (entries.single)
    return [pattern = pattern_of(who, entries.values.front())](const std::string& name) { return std::regex_match(name, pattern); };
  return [entries](const std::string& name) {
    return std::any_of(entries.values.begin(), entries.values.end(), [&](const std::string& entry) { return names_module(entry, name); });
  };
}

void default_targets(OneOrMany& targets, std::vector<std::string> FamilyTargets::*of_family, const std::string& method, const std::string& family) {
  if (!targets.values.empty()) return;
  const auto* known = family_targets().find(family);
  if (!known || (known->*of_family).empty())
    throw ConfigError({.who = "peft.target_modules",
                       .found = "nothing, and no default for " + method + " on " + family,
                       .expected = "a list of linear layers, or all-linear",
                       .remedy = ""});
  targets = {known->*of_family, false};
}

void refuse_dropout_before_head(CausalLm& model, const std::vector<NamedLinear>& targets, double dropout) {
  for (const auto& [name, linear] : targets) {
    if (linear == &model.head() && dropout > 0)
      throw ConfigError({.who = "peft.target_modules", .found = "'" + name + "' with peft.dropout above 0",
                         .expected = "no dropout before the head: in training it sees supervised tokens alone, whose rows it does not know",
                         .remedy = "peft.dropout=0, or leave the head out"});
  }
}

std::vector<NamedLinear> target_linears(CausalLm& model, const OneOrMany& targets, const std::vector<std::string>& modules_to_save) {
  std::vector<NamedLinear> all, chosen;
  for_each_linear(model, [&](const std::string& name, Linear& linear) { all.push_back({name, &linear}); });
  std::function<bool(const NamedLinear&)> is_target;
  std::set<std::string> used;
  std::optional<std::regex> pattern;
  if (targets.single && targets.values.front() == kAllLinear) {
    is_target = [&](const NamedLinear& x) { return x.linear != &model.head(); };
  } else if (targets.single) {
    pattern = pattern_of("peft.target_modules", targets.values.front());
    is_target = [&](const NamedLinear& x) { return std::regex_match(x.name, *pattern); };
  } else {
    is_target = [&](const NamedLinear& x) {
      bool any = false;
      for (const auto& entry : targets.values)
        if (names_module(entry, x.name)) {
          used.insert(entry);
          any = true;
        }
      return any;
    };
  }
  for (const auto& x : all)
    if (is_target(x) && !is_saved_whole(x.name, modules_to_save)) chosen.push_back(x);
  if (!targets.single)
    for (const auto& entry : targets.values)
      if (!used.contains(entry)) throw nothing_matches(entry, model, all);
  if (chosen.empty()) throw nothing_matches(join(targets.values), model, all);
  return chosen;
}

void freeze(CausalLm& model) {
  for_each_parameter(model, [](const std::string&, Parameter& p) { p.set_trainable(false); });
  model.tie();
}

void train_biases(CausalLm& model, TrainedBiases which, const std::vector<NamedLinear>& updated) {
  if (which == TrainedBiases::kNone) return;
  std::set<std::string> owners;
  for (const auto& [name, linear] : updated) owners.insert(name);
  for_each_parameter(model, [&](const std::string& name, Parameter& p) {
    if (last_part(name) != "bias") return;
    const auto owner = parent_of(name);
    const bool is_updated = owners.contains(owner);
    if (which == TrainedBiases::kLoraOnly && !is_updated) return;
    p.set_trainable(true);
    p.name = kPeftPrefix + (is_updated ? owner + ".base_layer.bias" : name);
  });
}

void train_modules(CausalLm& model, const std::vector<std::string>& modules_to_save, const std::vector<NamedLinear>& updated) {
  if (modules_to_save.empty()) return;
  std::set<std::string> owners, used;
  for (const auto& [name, linear] : updated) owners.insert(name);
  std::vector<std::string> known;
  const auto refuse = [](const std::string& found, const std::string& expected, const std::string& remedy) {
    throw ConfigError({.who = "peft.modules_to_save", .found = found, .expected = expected, .remedy = remedy});
  };

  for_each_parameter(model, [&](const std::string& name, Parameter& p) {
    for (auto module = parent_of(name);; module = parent_of(module)) {
      const auto part = last_part(module);
      const bool is_number = part.find_first_not_of("0123456789") == std::string::npos;
      if (!is_number && std::find(known.begin(), known.end(), part) == known.end()) known.push_back(part);
      for (const auto& entry : modules_to_save) {
        if (!module.ends_with(entry)) continue;
        used.insert(entry);
        if (owners.contains(parent_of(name)) || owners.contains(parent_of(parent_of(name))))
          refuse("'" + entry + "', which holds " + module + " with an update of its own", "modules without updates",
                 "name modules in full, or leave " + last_part(module) + " to target_modules");
        if (model.facts.tied && p.value.is_same(model.head().weight().value))
          refuse("'" + entry + "' where the head is the embedding matrix", "modules whose weights are their own",
                 "PEFT would train a copy of one of the two; leave it out, or train a model with tie_word_embeddings false");
        p.set_trainable(true);
        p.name = kPeftPrefix + name;
      }
      if (module.find('.') == std::string::npos) break;
    }
  });
  for (const auto& entry : modules_to_save) {
    if (used.contains(entry)) continue;
    const bool tied_head = model.facts.tied && entry == "lm_head";
    refuse("'" + entry + "', which names no module of this " + model.facts.family, "one of " + join(known),
           tied_head ? "this model's head is its embedding matrix" : nearest_hint(entry, known));
  }
}

std::vector<Parameter*> trained_parameters(CausalLm& model) {
  std::vector<Parameter*> out;
  for_each_parameter(model, [&](const std::string&, Parameter& p) {
    if (p.trainable) out.push_back(&p);
  });
  return out;
}

}  // namespace herd
