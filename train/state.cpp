#include "train/state.h"

#include <nlohmann/json.hpp>

#include "runtime/base/error.h"

namespace herd {

std::string to_json(const TrainState& s) {
  nlohmann::ordered_json json{{"step", s.step},
                              {"updates", s.updates},
                              {"tokens", s.tokens},
                              {"loss_scale", s.loss_scale.factor()},
                              {"loss_scale_finite_steps", s.loss_scale.finite_steps()},
                              {"best_step", s.best_step},
                              {"evaluations_since_best", s.evaluations_since_best}};
  if (s.best_step >= 0) json["best_loss"] = s.best_loss;  // JSON has no infinity
  if (!s.data.empty()) json["data"] = nlohmann::ordered_json::parse(s.data);
  if (!s.rule.empty()) json["rule"] = nlohmann::ordered_json::parse(s.rule);
  return json.dump();
}

namespace {

// Calls f with the parsed text; what is not as it expects is the text's fault.
template <class F>
void read(std::string_view text, F f) {
  try {
    f(nlohmann::json::parse(text));
  } catch (const nlohmann::json::exception& e) {
    throw DataError({.who = "the checkpoint's training state",
                     .found = e.what(),
                     .expected = "what herd wrote",
                     .remedy = "take another checkpoint"});
  }
}

std::string rule_of(const nlohmann::json& state) { return state.contains("rule") ? state.at("rule").dump() : ""; }

}  // namespace

std::string rule_in_json(std::string_view text) {
  std::string rule;
  read(text, [&](const nlohmann::json& json) { rule = rule_of(json); });
  return rule;
}

TrainState train_state_from_json(std::string_view text, LossScale scale) {
  TrainState s;
  read(text, [&](const nlohmann::json& json) {
    s.step = json.at("step");
    s.updates = json.at("updates");
    s.tokens = json.at("tokens");
    if (scale.active()) scale.restore(json.at("loss_scale"), json.at("loss_scale_finite_steps"));
    s.best_step = json.at("best_step");
    if (s.best_step >= 0) s.best_loss = json.at("best_loss");
    s.evaluations_since_best = json.at("evaluations_since_best");
    if (json.contains("data")) s.data = json.at("data").dump();
    s.rule = rule_of(json);
  });
  s.loss_scale = scale;
  return s;
}

}  // namespace herd
