#include <algorithm>
#include <map>

#include "data/template/jinja/functions.h"
#include "data/template/jinja/text.h"

namespace herd::jinja {
namespace {

using Plain = bool (*)(const Value&);

bool is_iterable(const Value& value) { return value.is_string() || value.list() || value.dict() || value.is_undefined(); }

bool is_sequence(const Value& value) {
  const auto* list = value.list();
  return is_iterable(value) && !(list && (list->form == List::Form::kView || list->form == List::Form::kStream));
}

/// Tests without an argument.
const std::map<std::string, Plain, std::less<>>& plain_tests() {
  static const std::map<std::string, Plain, std::less<>> table{
      {"boolean", [](const Value& v) { return v.is_bool(); }},
      {"callable", [](const Value& v) { return v.callable() || v.is_undefined(); }},
      {"defined", [](const Value& v) { return !v.is_undefined(); }},
      {"false", [](const Value& v) { return v.is_bool() && !v.truth(); }},
      {"float", [](const Value& v) { return v.is_float(); }},
      {"integer", [](const Value& v) { return v.is_int(); }},
      {"iterable", is_iterable},
      {"mapping", [](const Value& v) { return v.dict() != nullptr; }},
      {"none", [](const Value& v) { return v.is_none(); }},
      {"number", [](const Value& v) { return v.is_number(); }},
      {"sequence", is_sequence},
      {"string", [](const Value& v) { return v.is_string(); }},
      {"true", [](const Value& v) { return v.is_bool() && v.truth(); }},
      {"undefined", [](const Value& v) { return v.is_undefined(); }},
  };
  return table;
}

const std::map<std::string, const char*, std::less<>>& comparisons() {
  static const std::map<std::string, const char*, std::less<>> table{
      {"==", "=="}, {"eq", "=="}, {"equalto", "=="}, {"!=", "!="}, {"ne", "!="}, {"<", "<"}, {"lt", "<"}, {"lessthan", "<"},
      {"<=", "<="}, {"le", "<="}, {">", ">"}, {"gt", ">"}, {"greaterthan", ">"}, {">=", ">="}, {"ge", ">="}, {"in", "in"},
  };
  return table;
}

bool divides(const Value& value, const Value& by, std::int64_t rest, Budget& budget) {
  return equal(binary("%", value, by, budget), Value(rest), budget);
}

bool same(const Value& a, const Value& b, Budget& budget) {
  if ((a.is_none() || a.is_bool()) && (b.is_none() || b.is_bool())) return a.is_none() == b.is_none() && equal(a, b, budget);
  if (a.is_none() || a.is_bool() || b.is_none() || b.is_bool()) return false;
  throw Fault{"'sameas' of other than true, false and none", "==", ""};
}

}  // namespace

bool call_test(Context& context, const std::string& name, const Value& value, Arguments arguments) {
  auto& budget = context.budget;
  budget.spend();
  bool out = false;
  if (const auto plain = plain_tests().find(name); plain != plain_tests().end()) {
    out = plain->second(value);
  } else if (const auto comparison = comparisons().find(name); comparison != comparisons().end()) {
    out = compare(comparison->second, value, arguments.required("other"), budget);
  } else if (name == "odd" || name == "even") {
    out = divides(value, Value(std::int64_t{2}), name == "odd" ? 1 : 0, budget);
  } else if (name == "divisibleby") {
    out = divides(value, arguments.required("num"), 0, budget);
  } else if (name == "sameas") {
    out = same(value, arguments.required("other"), budget);
  } else if (name == "upper" || name == "lower") {
    const auto text = str(value, budget);
    out = (name == "upper" ? upper(text) : lower(text)) == text && (name == "upper" ? lower(text) : upper(text)) != text;
  } else {
    throw Fault{"the test '" + name + "'", "what herd knows of Jinja (docs/chat-templates.md)", ""};
  }
  arguments.done();
  return out;
}

}  // namespace herd::jinja
