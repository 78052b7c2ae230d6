#include <algorithm>
#include <charconv>
#include <map>

#include "data/template/jinja/number_filters.h"
#include "data/template/jinja/text.h"

namespace herd::jinja {
namespace {

using Filter = Value (*)(Context&, const Value&, Arguments&);

/// `a.b.0` of each item.
class Getter {
 public:
  explicit Getter(const Value& attribute, std::optional<Value> otherwise = std::nullopt) : otherwise_(std::move(otherwise)) {
    if (!attribute.is_string()) {
      path_.push_back(attribute);
      return;
    }
    const std::string_view dot = ".";
    for (const auto part : split(attribute.string(), &dot)) {
      std::int64_t place = 0;
      const auto [stop, error] = std::from_chars(part.data(), part.data() + part.size(), place);
      const bool number = error == std::errc{} && stop == part.data() + part.size() && !part.starts_with('-');
      path_.push_back(number ? Value(place) : Value(part));
    }
  }

  Value operator()(Value item, Budget& budget) const {
    for (const auto& part : path_) {
      item = item_of(item, part, budget);
      if (otherwise_ && !otherwise_->is_none() && item.is_undefined()) item = *otherwise_;
    }
    return item;
  }

 private:
  Values path_;
  std::optional<Value> otherwise_;
};

std::optional<Getter> getter_of(Arguments& arguments) {
  const auto attribute = arguments.take("attribute");
  if (!attribute || attribute->is_none()) return std::nullopt;
  return Getter(*attribute);
}

Value stream(Values items) { return make_list(std::move(items), List::Form::kStream); }

Value to_json_text(Context& context, const Value& value, Arguments& arguments) {
  JsonStyle style;
  style.ascii = arguments.truth_or("ensure_ascii", false);
  const auto indent = arguments.take("indent"), separators = arguments.take("separators");
  style.sorted = arguments.truth_or("sort_keys", false);
  if (indent && !indent->is_none()) {
    if (!indent->is_integral() && !indent->is_string()) throw Fault{std::string(indent->kind()) + " as 'indent'", "a number", ""};
    style.broken = true;
    style.between = ",";
    style.indent = indent->is_string() ? indent->string() : std::string(static_cast<std::size_t>(std::clamp<std::int64_t>(indent->integer(), 0, 1000)), ' ');
  }
  if (separators && !separators->is_none()) {
    const auto both = items_of(*separators, context.budget);
    if (both.size() != 2 || !both[0].is_string() || !both[1].is_string()) throw Fault{"'separators' that are no pair", "two texts", ""};
    style.between = both[0].string();
    style.colon = both[1].string();
  }
  return to_json(value, style, context.budget);
}

Value joined(Context& context, const Value& value, Arguments& arguments) {
  const auto separator = str(arguments.take("d").value_or(Value("")), context.budget);
  const auto getter = getter_of(arguments);
  std::string out;
  bool first = true;
  for (auto& item : items_of(value, context.budget)) {
    if (!first) out += separator;
    first = false;
    context.budget.make(separator.size());
    out += str(getter ? (*getter)(item, context.budget) : item, context.budget);
  }
  return out;
}

Value first_of(Context& context, const Value& value, Arguments&) {
  if (const auto* list = value.list(); list && list->form == List::Form::kStream) {
    return list->read < list->items.size() ? list->items[list->read++] : Value::undefined("the first of nothing");
  }
  const auto items = items_of(value, context.budget);
  return items.empty() ? Value::undefined("the first of nothing") : items.front();
}

Value last_of(Context& context, const Value& value, Arguments&) {
  if (value.list() && value.list()->form == List::Form::kStream) throw Fault{"the last of a filter's result", "a list", "put `| list` before"};
  const auto items = items_of(value, context.budget);
  return items.empty() ? Value::undefined("the last of nothing") : items.back();
}

Value mapped(Context& context, const Value& value, Arguments& arguments) {
  Values out;
  if (!value.truth()) {
    arguments = {};  // not looked at, as in jinja2
    return stream({});
  }
  if (const auto filter = arguments.take_next()) {
    if (!filter->is_string()) throw Fault{"map by " + std::string(filter->kind()), "a filter's name or attribute=", ""};
    const auto rest = std::exchange(arguments, {});
    for (const auto& item : items_of(value, context.budget)) out.push_back(call_filter(context, filter->string(), item, rest));
    return stream(std::move(out));
  }
  const auto attribute = arguments.take_named("attribute");
  if (!attribute) throw Fault{"map by nothing", "a filter's name or attribute=", ""};
  const Getter getter(*attribute, arguments.take_named("default"));
  for (const auto& item : items_of(value, context.budget)) out.push_back(getter(item, context.budget));
  return stream(std::move(out));
}

template <bool kept, bool by_attribute>
Value selected(Context& context, const Value& value, Arguments& arguments) {
  Values out;
  if (!value.truth()) {
    arguments = {};  // not looked at, as in jinja2
    return stream({});
  }
  const auto getter = by_attribute ? std::optional(Getter(arguments.required("attribute"))) : std::nullopt;
  const auto test = arguments.take_next();
  if (test && !test->is_string()) throw Fault{"a selection by " + std::string(test->kind()), "a test's name", ""};
  const auto rest = test ? std::exchange(arguments, {}) : Arguments();
  for (const auto& item : items_of(value, context.budget)) {
    const auto seen = getter ? (*getter)(item, context.budget) : item;
    if ((test ? call_test(context, test->string(), seen, rest) : seen.truth()) == kept) out.push_back(item);
  }
  return stream(std::move(out));
}

/// What sort and unique go by.
Value sorting_key(const Value& item, const std::optional<Getter>& getter, bool case_sensitive, Budget& budget) {
  auto key = getter ? (*getter)(item, budget) : item;
  if (key.is_string() && !case_sensitive) key = lower(key.string());
  return key;
}

Value sorted(Context& context, const Value& value, Arguments& arguments) {
  const bool reverse = arguments.truth_or("reverse", false), case_sensitive = arguments.truth_or("case_sensitive", false);
  const auto getter = getter_of(arguments);
  std::vector<std::pair<Value, Value>> keyed;
  for (const auto& item : items_of(value, context.budget)) {
    auto key = sorting_key(item, getter, case_sensitive, context.budget);
    keyed.emplace_back(getter ? make_list({std::move(key)}) : std::move(key), item);  // a list as in jinja2: equal ones need no order
  }
  std::stable_sort(keyed.begin(), keyed.end(), [&](const auto& a, const auto& b) {
    return reverse ? less(b.first, a.first, context.budget) : less(a.first, b.first, context.budget);
  });
  Values out;
  for (auto& each : keyed) out.push_back(std::move(each.second));
  return make_list(std::move(out));
}

Value unique(Context& context, const Value& value, Arguments& arguments) {
  const bool case_sensitive = arguments.truth_or("case_sensitive", false);
  const auto getter = getter_of(arguments);
  Values seen, out;
  for (const auto& item : items_of(value, context.budget)) {
    auto key = sorting_key(item, getter, case_sensitive, context.budget);
    require_key(key);
    if (std::any_of(seen.begin(), seen.end(), [&](const Value& other) { return equal(key, other, context.budget); })) continue;
    seen.push_back(std::move(key));
    out.push_back(item);
  }
  return stream(std::move(out));
}

Value reversed(Context& context, const Value& value, Arguments&) {
  auto items = items_of(value, context.budget);
  std::reverse(items.begin(), items.end());
  if (!value.is_string()) return stream(std::move(items));
  std::string out;
  for (const auto& item : items) out += item.string();
  return out;
}

Value summed(Context& context, const Value& value, Arguments& arguments) {
  const auto getter = getter_of(arguments);
  auto out = arguments.take("start").value_or(Value(std::int64_t{0}));
  for (const auto& item : items_of(value, context.budget)) out = binary("+", out, getter ? (*getter)(item, context.budget) : item, context.budget);
  return out;
}

Value indented(Context& context, const Value& value, Arguments& arguments) {
  const auto width = arguments.take("width").value_or(Value(std::int64_t{4}));
  const bool first = arguments.truth_or("first", false), blank = arguments.truth_or("blank", false);
  if (!value.is_string() || !(width.is_string() || width.is_integral())) throw Fault{"indent of " + std::string(value.kind()), "a text, and a number of spaces", ""};
  const auto spaces = width.is_string() ? std::string() : std::string(static_cast<std::size_t>(std::clamp<std::int64_t>(width.integer(), 0, 10'000)), ' ');
  return indent(value.string(), width.is_string() ? width.string() : spaces, first, blank, context.budget);
}

Value pairs(Context& context, const Value& value, Arguments&) {
  if (value.is_undefined()) return stream({});
  if (!value.dict()) throw Fault{"the items of " + std::string(value.kind()), "of a dictionary", ""};
  return stream(items_of(call_method(context, value, "items", {}), context.budget));
}

Value replaced(Context& context, const Value& value, Arguments& arguments) {
  const auto from = str(arguments.required("old"), context.budget), to = str(arguments.required("new"), context.budget);
  const auto count = arguments.take("count").value_or(Value(nullptr));
  return replace(str(value, context.budget), from, to, count.is_integral() ? count.integer() : -1, context.budget);
}

Value trimmed(Context& context, const Value& value, Arguments& arguments) {
  const auto text = str(value, context.budget);
  const auto chars = arguments.text_or_none("chars");
  const std::string_view view = chars ? *chars : std::string_view();
  return strip(text, chars ? &view : nullptr);
}

Value or_default(Context&, const Value& value, Arguments& arguments) {
  auto otherwise = arguments.take("default_value").value_or(Value(""));
  const bool boolean = arguments.truth_or("boolean", false);
  return value.is_undefined() || (boolean && !value.truth()) ? otherwise : value;
}

template <std::string (*change)(std::string_view)>
Value changed(Context& context, const Value& value, Arguments&) {
  return change(str(value, context.budget));
}

Value listed(Context& context, const Value& value, Arguments&) { return make_list(items_of(value, context.budget)); }
Value counted(Context& context, const Value& value, Arguments&) { return length_of(value, context.budget); }
Value as_text(Context& context, const Value& value, Arguments&) { return str(value, context.budget); }

const std::map<std::string, Filter, std::less<>>& filters() {
  static const std::map<std::string, Filter, std::less<>> table{
      {"abs", magnitude},
      {"capitalize", changed<capitalize>},
      {"count", counted},
      {"d", or_default},
      {"default", or_default},
      {"first", first_of},
      {"float", to_float},
      {"indent", indented},
      {"int", to_int},
      {"items", pairs},
      {"join", joined},
      {"last", last_of},
      {"length", counted},
      {"list", listed},
      {"lower", changed<lower>},
      {"map", mapped},
      {"reject", selected<false, false>},
      {"rejectattr", selected<false, true>},
      {"replace", replaced},
      {"reverse", reversed},
      {"safe", as_text},  // nothing is escaped anyway
      {"select", selected<true, false>},
      {"selectattr", selected<true, true>},
      {"sort", sorted},
      {"string", as_text},
      {"sum", summed},
      {"title", changed<title_words>},
      {"tojson", to_json_text},
      {"trim", trimmed},
      {"unique", unique},
      {"upper", changed<upper>},
  };
  return table;
}

}  // namespace

Value call_filter(Context& context, const std::string& name, const Value& value, Arguments arguments) {
  const auto filter = filters().find(name);
  if (filter == filters().end()) throw Fault{"the filter '" + name + "'", "what herd knows of Jinja (docs/chat-templates.md)", ""};
  context.budget.spend();
  auto out = filter->second(context, value, arguments);
  arguments.done();
  return out;
}

}  // namespace herd::jinja
