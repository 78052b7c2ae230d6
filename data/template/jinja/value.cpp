#include "data/template/jinja/value.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "data/template/jinja/text.h"

namespace herd::jinja {
namespace {

int nesting_of(const Value& value) {
  if (value.list()) return value.list()->nesting;
  if (value.dict()) return value.dict()->nesting;
  if (value.loop()) return value.loop()->nesting;
  return value.callable() ? value.callable()->nesting : 0;
}

int deeper(int nesting) {
  if (nesting >= kMaxNesting) throw Fault{"values nested more than " + std::to_string(kMaxNesting) + " deep", "flatter ones", ""};
  return nesting + 1;
}

int nesting_of(const Values& items) {
  int out = 0;
  for (const auto& item : items) out = std::max(out, nesting_of(item));
  return out;
}

Value json_value(const nlohmann::ordered_json& json, int depth) {
  if (depth > kMaxNesting) deeper(depth);
  if (json.is_null()) return nullptr;
  if (json.is_boolean()) return json.get<bool>();
  if (json.is_string()) return json.get<std::string>();
  if (json.is_number_float()) return json.get<double>();
  if (json.is_number_unsigned() && json.get<std::uint64_t>() > static_cast<std::uint64_t>(INT64_MAX)) throw Fault{"the number " + json.dump(), "one of 64 bits", ""};
  if (json.is_number_integer()) return json.get<std::int64_t>();
  if (json.is_array()) {
    Values items;
    for (const auto& item : json) items.push_back(json_value(item, depth + 1));
    return make_list(std::move(items));
  }
  std::vector<std::pair<Value, Value>> entries;
  for (const auto& [key, item] : json.items()) entries.emplace_back(Value(key), json_value(item, depth + 1));
  return make_dict(std::move(entries));
}

}  // namespace

Value Value::undefined(std::string name) {
  Value out;
  out.held_ = Undefined{std::make_shared<const std::string>(std::move(name))};
  return out;
}

Value Value::from_json(const nlohmann::ordered_json& json) { return json_value(json, 0); }

const std::string& Value::undefined_name() const {
  static const std::string none = "a value";
  const auto& name = std::get<Undefined>(held_).name;
  return name ? *name : none;
}

bool Value::truth() const {
  if (is_undefined() || is_none()) return false;
  if (is_number()) return number() != 0;
  if (is_string()) return !string().empty();
  if (list()) return list()->form == List::Form::kStream || !list()->items.empty();
  if (dict()) return !dict()->entries.empty();
  return true;
}

const char* Value::kind() const {
  if (is_undefined()) return "an undefined value";
  if (is_none()) return "none";
  if (is_bool()) return "a truth value";
  if (is_number()) return "a number";
  if (is_string()) return "a text";
  if (list()) return "a list";
  if (dict()) return "a dictionary";
  if (space()) return "a namespace";
  if (loop()) return "a loop";
  return "a function";
}

const Value* Dict::find(const Value& key) const {
  if (key.is_string()) return find(std::string_view(key.string()));
  Budget budget{Limits{}};
  require_key(key);
  for (const auto& [name, value] : entries)
    if (equal(name, key, budget)) return &value;
  return nullptr;
}

const Value* Dict::find(std::string_view key) const {
  for (const auto& [name, value] : entries)
    if (name.is_string() && name.string() == key) return &value;
  return nullptr;
}

void require_key(const Value& key) {
  const auto* list = key.list();
  if (list && list->form == List::Form::kTuple)
    for (const auto& item : list->items) require_key(item);
  if (key.dict() || (list && list->form == List::Form::kList)) throw Fault{std::string(key.kind()) + " as a dictionary's key", "a text or a number", ""};
}

std::shared_ptr<Loop> make_loop(Values items) {
  const auto nesting = deeper(nesting_of(items));
  return std::make_shared<Loop>(Loop{.items = std::move(items), .nesting = nesting});
}

Value make_method(Value self, std::string name) {
  const auto nesting = deeper(nesting_of(self));
  return std::make_shared<const Callable>(Callable{.name = std::move(name), .self = std::move(self), .nesting = nesting});
}

Value make_list(Values items, List::Form form) {
  const auto nesting = deeper(nesting_of(items));
  return std::make_shared<const List>(List{std::move(items), form, nesting});
}

Value make_dict(std::vector<std::pair<Value, Value>> entries) {
  Dict out;
  int nesting = 0;
  for (auto& [key, value] : entries) {
    require_key(key);
    nesting = std::max(nesting, nesting_of(value));
    if (const auto* there = out.find(key))
      *const_cast<Value*>(there) = std::move(value);
    else
      out.entries.emplace_back(std::move(key), std::move(value));
  }
  out.nesting = deeper(nesting);
  return std::make_shared<const Dict>(std::move(out));
}

Values items_of(const Value& value, Budget& budget) {
  if (value.is_undefined()) return {};
  Values out;
  if (const auto* list = value.list()) {
    const auto from = list->form == List::Form::kStream ? std::exchange(list->read, list->items.size()) : 0;
    out.assign(list->items.begin() + static_cast<std::ptrdiff_t>(from), list->items.end());
  } else if (const auto* dict = value.dict()) {
    for (const auto& [key, item] : dict->entries) out.push_back(key);
  } else if (value.is_string()) {
    budget.make(value.string().size() * sizeof(Value));
    for (const auto character : characters(value.string())) out.emplace_back(character);
  } else {
    throw Fault{std::string(value.kind()) + " in a loop's or list's place", "a list, a dictionary or a text", ""};
  }
  budget.make(out.size() * sizeof(Value));
  return out;
}

std::int64_t length_of(const Value& value, Budget& budget) {
  if (value.is_undefined()) return 0;
  if (const auto* list = value.list(); list && list->form != List::Form::kStream) return static_cast<std::int64_t>(list->items.size());
  if (value.dict()) return static_cast<std::int64_t>(value.dict()->entries.size());
  if (!value.is_string()) throw Fault{"the length of " + std::string(value.list() ? "a filter's result" : value.kind()), "of a list, a dictionary or a text", "put `| list` before"};
  budget.look_at(value.string().size());
  return count_characters(value.string());
}

bool equal(const Value& a, const Value& b, Budget& budget) {
  budget.spend();
  if (a.is_undefined() || b.is_undefined()) return a.is_undefined() && b.is_undefined();
  if (a.is_none() || b.is_none()) return a.is_none() && b.is_none();
  if (a.is_integral() && b.is_integral()) return a.integer() == b.integer();
  if (a.is_number() && b.is_number()) return a.number() == b.number();
  if (a.is_string() && b.is_string()) {
    budget.look_at(std::min(a.string().size(), b.string().size()));
    return a.string() == b.string();
  }
  if (const auto *x = a.list(), *y = b.list(); x && y) {
    if (x == y) return true;
    if (x->form != y->form || x->form == List::Form::kStream || x->form == List::Form::kView) return false;
    return std::equal(x->items.begin(), x->items.end(), y->items.begin(), y->items.end(), [&](const Value& i, const Value& j) { return equal(i, j, budget); });
  }
  if (const auto *x = a.dict(), *y = b.dict(); x && y) {
    if (x->entries.size() != y->entries.size()) return false;
    return std::all_of(x->entries.begin(), x->entries.end(), [&](const auto& entry) {
      budget.spend(y->entries.size());
      const auto* other = y->find(entry.first);
      return other && equal(entry.second, *other, budget);
    });
  }
  if (a.space() && b.space()) return a.space() == b.space();
  return false;
}

bool less(const Value& a, const Value& b, Budget& budget) {
  budget.spend();
  if (a.is_integral() && b.is_integral()) return a.integer() < b.integer();
  if (a.is_number() && b.is_number()) return a.number() < b.number();
  if (a.is_string() && b.is_string()) {
    budget.look_at(std::min(a.string().size(), b.string().size()));
    return a.string() < b.string();  // by bytes, which in UTF-8 is by characters
  }
  const auto *x = a.list(), *y = b.list();
  if (x && y && x->form == y->form && (x->form == List::Form::kList || x->form == List::Form::kTuple)) {
    for (std::size_t i = 0; i < std::min(x->items.size(), y->items.size()); ++i)
      if (!equal(x->items[i], y->items[i], budget)) return less(x->items[i], y->items[i], budget);
    return x->items.size() < y->items.size();
  }
  throw Fault{"an order of " + std::string(a.kind()) + " and " + b.kind(), "two numbers or two texts", ""};
}

}  // namespace herd::jinja
