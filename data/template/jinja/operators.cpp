#include <algorithm>
#include <array>
#include <cmath>

#include "data/template/jinja/functions.h"
#include "data/template/jinja/text.h"

namespace herd::jinja {
namespace {

[[noreturn]] void fail_binary(std::string_view op, const Value& left, const Value& right) {
  for (const auto* side : {&left, &right})
    if (side->is_undefined()) throw Fault{"'" + side->undefined_name() + "', which is undefined, in '" + std::string(op) + "'", "a value", ""};
  throw Fault{std::string(left.kind()) + " " + std::string(op) + " " + right.kind(), "what Python can compute", ""};
}

[[noreturn]] void fail_size() { throw Fault{"a number past 64 bits", "a smaller one", ""}; }

std::int64_t floor_divide(std::int64_t a, std::int64_t b) {
  if (b == -1) {
    if (a == INT64_MIN) fail_size();
    return -a;
  }
  return a / b - (a % b != 0 && (a < 0) != (b < 0) ? 1 : 0);
}

std::int64_t whole_power(std::int64_t base, std::int64_t exponent) {
  if (base == 0 || base == 1) return exponent == 0 ? 1 : base;
  if (base == -1) return exponent % 2 ? -1 : 1;
  std::int64_t out = 1;
  for (; exponent > 0; --exponent)
    if (__builtin_mul_overflow(out, base, &out)) fail_size();
  return out;
}

Value whole_numbers(std::string_view op, std::int64_t a, std::int64_t b) {
  std::int64_t out = 0;
  if (op == "+" ? __builtin_add_overflow(a, b, &out) : op == "-" ? __builtin_sub_overflow(a, b, &out) : op == "*" && __builtin_mul_overflow(a, b, &out)) fail_size();
  if (op == "+" || op == "-" || op == "*") return out;
  if (op == "**") return b < 0 ? Value(std::pow(static_cast<double>(a), static_cast<double>(b))) : Value(whole_power(a, b));
  if (op == "/") return static_cast<double>(a) / static_cast<double>(b);
  const auto quotient = floor_divide(a, b);
  return op == "//" ? Value(quotient) : Value(b == -1 ? 0 : a - quotient * b);
}

double python_modulo(double a, double b) {
  const auto rest = std::fmod(a, b);
  if (rest == 0) return std::copysign(0.0, b);
  return (rest < 0) != (b < 0) ? rest + b : rest;
}

Value real_numbers(std::string_view op, double a, double b) {
  if (op == "+") return a + b;
  if (op == "-") return a - b;
  if (op == "*") return a * b;
  if (op == "/") return a / b;
  if (op == "%") return python_modulo(a, b);
  if (op == "//") {
    const auto quotient = (a - python_modulo(a, b)) / b;
    return quotient == 0 ? std::copysign(0.0, a / b) : std::floor(quotient + 0.5);
  }
  const auto out = std::pow(a, b);
  if (!std::isfinite(out) && std::isfinite(a) && std::isfinite(b)) fail_size();
  return out;
}

Value repeated(const Value& value, std::int64_t times, Budget& budget) {
  const auto count = static_cast<std::size_t>(std::clamp<std::int64_t>(times, 0, INT32_MAX));
  if (value.is_string()) {
    budget.make(value.string().size() * count);
    std::string out;
    for (std::size_t i = 0; i < count && !value.string().empty(); ++i) out += value.string();
    return out;
  }
  const auto& items = value.list()->items;
  budget.make(items.size() * sizeof(Value) * count);
  Values out;
  for (std::size_t i = 0; i < count && !items.empty(); ++i) out.insert(out.end(), items.begin(), items.end());
  return make_list(std::move(out), value.list()->form);
}

bool is_sequence(const Value& value) {
  return value.is_string() || (value.list() && (value.list()->form == List::Form::kList || value.list()->form == List::Form::kTuple));
}

bool contains(const Value& container, const Value& value, Budget& budget) {
  if (container.is_string()) {
    if (!value.is_string()) fail_binary("in", value, container);
    budget.look_at(container.string().size());
    return container.string().find(value.string()) != std::string::npos;
  }
  if (const auto* dict = container.dict()) {
    budget.spend(dict->entries.size());
    return dict->find(value) != nullptr;
  }
  if (!container.is_undefined() && !container.list()) fail_binary("in", value, container);
  const auto items = items_of(container, budget);
  return std::any_of(items.begin(), items.end(), [&](const Value& item) { return equal(item, value, budget); });
}

std::int64_t place_or(const Value& value, std::int64_t otherwise) {
  if (value.is_none()) return otherwise;
  if (!value.is_integral()) throw Fault{std::string(value.kind()) + " in a slice", "a whole number", ""};
  return value.integer();
}

/// The places of a slice of `size`, as Python counts them.
std::vector<std::size_t> places(std::int64_t size, const Value& start, const Value& stop, const Value& step_value) {
  const auto step = place_or(step_value, 1);
  if (step == 0) throw Fault{"a slice with a step of 0", "another step", ""};
  const auto bounded = [&](const Value& value, std::int64_t otherwise) {
    auto at = place_or(value, otherwise);
    if (value.is_none()) return at;
    if (at < 0) at = at < -size ? -1 : at + size;
    return step > 0 ? std::clamp<std::int64_t>(at, 0, size) : std::clamp<std::int64_t>(at, -1, size - 1);
  };
  const auto from = bounded(start, step > 0 ? 0 : size - 1), to = bounded(stop, step > 0 ? size : -1);
  std::vector<std::size_t> out;
  for (auto at = static_cast<__int128>(from); step > 0 ? at < to : at > to; at += step) out.push_back(static_cast<std::size_t>(at));
  return out;
}

}  // namespace

Value unary(std::string_view op, const Value& value) {
  if (op == "not") return !value.truth();
  if (!value.is_number()) fail_binary(op, value, Value(std::int64_t{0}));
  if (op == "+") return value.is_float() ? value : Value(value.integer());
  if (value.is_float()) return -value.number();
  if (value.integer() == INT64_MIN) fail_size();
  return -value.integer();
}

Value binary(std::string_view op, const Value& left, const Value& right, Budget& budget) {
  if (left.is_number() && right.is_number()) {
    const bool divides = op == "/" || op == "//" || op == "%", none = right.number() == 0;
    if ((divides && none) || (op == "**" && left.number() == 0 && right.number() < 0)) throw Fault{"a division by zero", "another number", ""};
    return left.is_integral() && right.is_integral() ? whole_numbers(op, left.integer(), right.integer()) : real_numbers(op, left.number(), right.number());
  }
  if (op == "+" && left.is_string() && right.is_string()) {
    budget.make(left.string().size() + right.string().size());
    return left.string() + right.string();
  }
  if (op == "+" && is_sequence(left) && is_sequence(right) && left.list() && right.list() && left.list()->form == right.list()->form) {
    auto items = left.list()->items;
    items.insert(items.end(), right.list()->items.begin(), right.list()->items.end());
    budget.make(items.size() * sizeof(Value));
    return make_list(std::move(items), left.list()->form);
  }
  if (op == "*" && is_sequence(left) && right.is_integral()) return repeated(left, right.integer(), budget);
  if (op == "*" && left.is_integral() && is_sequence(right)) return repeated(right, left.integer(), budget);
  if (op == "%" && left.is_string()) throw Fault{"a text % values", "what herd knows of Jinja (docs/chat-templates.md)", "join the texts by ~"};
  fail_binary(op, left, right);
}

bool compare(std::string_view op, const Value& left, const Value& right, Budget& budget) {
  if (op == "==") return equal(left, right, budget);
  if (op == "!=") return !equal(left, right, budget);
  if (op == "in") return contains(right, left, budget);
  if (op == "not in") return !contains(right, left, budget);
  if (left.is_undefined() || right.is_undefined()) fail_binary(op, left, right);
  if (op == "<") return less(left, right, budget);
  if (op == ">") return less(right, left, budget);
  if (left.is_number() && right.is_number() && (std::isnan(left.number()) || std::isnan(right.number()))) return false;
  return op == "<=" ? !less(right, left, budget) : !less(left, right, budget);
}

Value attribute_of(const Value& object, const std::string& name) {
  if (object.is_undefined()) throw Fault{"'" + object.undefined_name() + "', which is undefined, asked for '" + name + "'", "a value that has it", ""};
  if (is_method(object, name)) return make_method(object, name);
  if (const auto* dict = object.dict())
    if (const auto* value = dict->find(std::string_view(name))) return *value;
  if (const auto* space = object.space())
    for (const auto& [key, value] : space->entries)
      if (key == name) return value;
  if (const auto* loop = object.loop()) {
    const auto size = static_cast<std::int64_t>(loop->items.size()), at = static_cast<std::int64_t>(loop->index0);
    const std::array<std::pair<std::string_view, std::int64_t>, 7> numbers{{{"index", at + 1}, {"index0", at}, {"revindex", size - at}, {"revindex0", size - at - 1},
                                                                           {"length", size}, {"depth", 1}, {"depth0", 0}}};
    for (const auto& [key, value] : numbers)
      if (key == name) return value;
    if (name == "first") return at == 0;
    if (name == "last") return at + 1 == size;
    if (name == "previtem" && at > 0) return loop->items[loop->index0 - 1];
    if (name == "nextitem" && at + 1 < size) return loop->items[loop->index0 + 1];
    if (name == "changed") throw Fault{"loop.changed", "what herd knows of Jinja (docs/chat-templates.md)", ""};
  }
  return Value::undefined(name);
}

Value item_of(const Value& object, const Value& key, Budget& budget) {
  if (object.is_undefined()) throw Fault{"'" + object.undefined_name() + "', which is undefined, asked for an item", "a value that has it", ""};
  if (const auto* dict = object.dict()) {
    if (key.list() || key.dict()) return Value::undefined("an item");  // jinja2 asks Python and takes its error for "no such item"
    budget.spend(dict->entries.size());
    if (const auto* value = dict->find(key)) return *value;
  }
  const auto* list = object.list();
  const bool has_places = object.is_string() || (list && list->form != List::Form::kView && list->form != List::Form::kStream);
  if (has_places && key.is_integral()) {
    const auto size = length_of(object, budget), at = key.integer() < 0 ? key.integer() + size : key.integer();
    if (at < 0 || at >= size) return Value::undefined("item " + std::to_string(key.integer()));
    if (list) return list->items[static_cast<std::size_t>(at)];
    return characters(object.string())[static_cast<std::size_t>(at)];
  }
  return key.is_string() ? attribute_of(object, key.string()) : Value::undefined("an item");
}

Value slice_of(const Value& object, const Value& start, const Value& stop, const Value& step, Budget& budget) {
  const auto* list = object.list();
  if (!object.is_string() && !(list && list->form != List::Form::kView && list->form != List::Form::kStream))
    throw Fault{"a slice of " + std::string(object.is_undefined() ? "'" + object.undefined_name() + "', which is undefined" : object.kind()), "of a list or a text", ""};
  if (object.is_string()) {
    budget.make(object.string().size() * sizeof(std::string_view));
    const auto all = characters(object.string());
    std::string out;
    for (const auto at : places(static_cast<std::int64_t>(all.size()), start, stop, step)) out += all[at];
    return out;
  }
  Values out;
  for (const auto at : places(static_cast<std::int64_t>(list->items.size()), start, stop, step)) out.push_back(list->items[at]);
  budget.make(out.size() * sizeof(Value));
  return make_list(std::move(out), list->form);
}

}  // namespace herd::jinja
