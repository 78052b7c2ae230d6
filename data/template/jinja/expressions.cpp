#include <algorithm>

#include "data/template/jinja/levels.h"

namespace herd::jinja {

using Kind = Expression::Kind;

Value Machine::evaluate(const Expression& e) {
  const Level level(*this);
  context_.budget.spend();
  line_ = e.line;
  return evaluate_kind(e);
}

Value Machine::evaluate_kind(const Expression& e) {
  const auto part = [&](std::size_t i) { return evaluate(*e.parts[i]); };
  const auto perhaps = [&](std::size_t i) { return e.parts[i] ? part(i) : Value(nullptr); };
  switch (e.kind) {
    case Kind::kConstant: return e.value;
    case Kind::kName: return look_up(e.text);
    case Kind::kList: return make_list(parts(e));
    case Kind::kTuple: return make_list(parts(e), List::Form::kTuple);
    case Kind::kDict: return dictionary(e);
    case Kind::kAttribute: return attribute_of(part(0), e.text);
    case Kind::kItem: {
      const auto object = part(0);
      return item_of(object, part(1), context_.budget);
    }
    case Kind::kSlice: {
      const auto object = part(0), start = perhaps(1), stop = perhaps(2), step = perhaps(3);
      return slice_of(object, start, stop, step, context_.budget);
    }
    case Kind::kCall: {
      const auto callee = part(0);
      return call(callee, arguments(e));
    }
    case Kind::kFilter: {
      const auto value = part(0);
      return call_filter(context_, e.text, value, arguments(e));
    }
    case Kind::kTest: {
      const auto value = part(0);
      return call_test(context_, e.text, value, arguments(e)) != e.negated;
    }
    case Kind::kUnary: return unary(e.text, part(0));
    case Kind::kBinary: return logic(e);
    case Kind::kConcat: return concatenation(e);
    case Kind::kCompare: return comparison(e);
    case Kind::kChoice: return part(0).truth() ? part(1) : e.parts[2] ? part(2) : Value::undefined("an `if` without `else`");
  }
  return {};
}

Value Machine::look_up(const std::string& name) const {
  if (const auto* value = scope_->find(name)) return *value;
  if (is_function(name)) return std::make_shared<const Callable>(Callable{.name = name});
  return Value::undefined(name);
}

Values Machine::parts(const Expression& e, std::size_t from) {
  Values out;
  for (auto i = from; i < e.parts.size(); ++i) out.push_back(evaluate(*e.parts[i]));
  context_.budget.make(out.size() * sizeof(Value));
  return out;
}

Arguments Machine::arguments(const Expression& e) {
  auto positional = parts(e, 1);
  std::vector<std::pair<std::string, Value>> named;
  for (const auto& [name, value] : e.named) named.emplace_back(name, evaluate(*value));
  return {std::move(positional), std::move(named)};
}

Value Machine::call(const Value& callee, Arguments arguments) {
  if (callee.is_undefined()) throw Fault{"a call of '" + callee.undefined_name() + "', which is undefined", "a macro, a method or a function that herd knows (docs/chat-templates.md)", ""};
  const auto* function = callee.callable();
  if (callee.loop()) throw Fault{"a recursive loop", "what herd knows of Jinja (docs/chat-templates.md)", ""};
  if (!function) throw Fault{"a call of " + std::string(callee.kind()), "a macro, a method or a function", ""};
  if (function->macro) return call_macro(*function, arguments);
  if (!function->self.is_undefined()) return call_method(context_, function->self, function->name, std::move(arguments));
  auto out = call_function(context_, function->name, std::move(arguments));
  if (out.space()) spaces_.push_back(out);
  return out;
}

Value Machine::call_macro(const Callable& macro, Arguments& arguments) {
  auto around = macro.scope.lock();
  if (!around) throw Fault{"a call of the macro '" + macro.name + "' from outside the block that it stands in", "one within", ""};
  const auto& node = *macro.macro;
  const auto line = line_;
  std::string text;
  {
    const Within within(*this, std::make_shared<Scope>(std::move(around)), &text);
    const auto without_default = node.parameters.size() - node.defaults.size();
    for (std::size_t i = 0; i < node.parameters.size(); ++i) {
      auto given = arguments.take(node.parameters[i]);
      if (!given && i >= without_default) given = evaluate(*node.defaults[i - without_default]);
      scope_->set(node.parameters[i], given ? std::move(*given) : Value::undefined(node.parameters[i]));
    }
    if (auto caller = arguments.take_named("caller")) scope_->set("caller", std::move(*caller));
    arguments.done();
    execute(node.body);
  }
  line_ = line;
  context_.budget.make(text.size());
  return text;
}

Value Machine::dictionary(const Expression& e) {
  std::vector<std::pair<Value, Value>> entries;
  for (std::size_t i = 0; i + 1 < e.parts.size(); i += 2) {
    auto key = evaluate(*e.parts[i]);
    entries.emplace_back(std::move(key), evaluate(*e.parts[i + 1]));
  }
  context_.budget.spend(entries.size() * entries.size());
  return make_dict(std::move(entries));
}

Value Machine::logic(const Expression& e) {
  auto left = evaluate(*e.parts[0]);
  if (e.text == "and") return left.truth() ? evaluate(*e.parts[1]) : left;
  if (e.text == "or") return left.truth() ? left : evaluate(*e.parts[1]);
  const auto right = evaluate(*e.parts[1]);
  return binary(e.text, left, right, context_.budget);
}

Value Machine::comparison(const Expression& e) {
  auto left = evaluate(*e.parts[0]);
  for (std::size_t i = 0; i < e.operators.size(); ++i) {
    auto right = evaluate(*e.parts[i + 1]);
    if (!compare(e.operators[i], left, right, context_.budget)) return false;
    left = std::move(right);
  }
  return true;
}

Value Machine::concatenation(const Expression& e) {
  std::string out;
  for (const auto& part : e.parts) out += str(evaluate(*part), context_.budget);
  context_.budget.make(out.size());
  return out;
}

Value Machine::through_filters(const Expression& e, const Value& text) {
  const auto value = e.parts[0] ? through_filters(*e.parts[0], text) : text;
  return call_filter(context_, e.text, value, arguments(e));
}

}  // namespace herd::jinja
