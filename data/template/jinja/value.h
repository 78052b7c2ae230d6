#pragma once
#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "data/template/jinja/fault.h"

namespace herd::jinja {

class Value;
class Scope;
struct MacroNode;
struct List;
struct Dict;
struct Namespace;
struct Loop;
struct Callable;
using Values = std::vector<Value>;

/// A name that stands for nothing: empty when printed, looped over or asked for its length; an error when used deeper.
struct Undefined {
  std::shared_ptr<const std::string> name;
};

/// A value of a template, as Python has it. Cheap to copy; what it points at does not change, namespaces and loops apart.
class Value {
 public:
  Value() : held_(Undefined{}) {}
  Value(std::nullptr_t) : held_(nullptr) {}
  Value(bool value) : held_(value) {}
  Value(std::int64_t value) : held_(value) {}
  Value(double value) : held_(value) {}
  Value(std::string text) : held_(std::make_shared<const std::string>(std::move(text))) {}
  Value(std::string_view text) : Value(std::string(text)) {}
  Value(const char* text) : Value(std::string(text)) {}
  template <typename T>
  Value(std::shared_ptr<T> object) : held_(std::move(object)) {}
  static Value undefined(std::string name);
  /// @throws Fault for a number past 64 bits, or nesting past kMaxNesting.
  static Value from_json(const nlohmann::ordered_json& json);

  bool is_undefined() const { return std::holds_alternative<Undefined>(held_); }
  bool is_none() const { return std::holds_alternative<std::nullptr_t>(held_); }
  bool is_bool() const { return std::holds_alternative<bool>(held_); }
  bool is_int() const { return std::holds_alternative<std::int64_t>(held_); }
  bool is_float() const { return std::holds_alternative<double>(held_); }
  bool is_integral() const { return is_int() || is_bool(); }  ///< Python's bool is an int
  bool is_number() const { return is_integral() || is_float(); }
  bool is_string() const { return std::holds_alternative<std::shared_ptr<const std::string>>(held_); }

  const std::string& string() const { return *std::get<std::shared_ptr<const std::string>>(held_); }
  std::int64_t integer() const { return is_bool() ? std::get<bool>(held_) : std::get<std::int64_t>(held_); }
  double number() const { return is_float() ? std::get<double>(held_) : static_cast<double>(integer()); }
  const List* list() const { return object<const List>(); }
  const Dict* dict() const { return object<const Dict>(); }
  Namespace* space() const { return object<Namespace>(); }
  const Loop* loop() const { return object<const Loop>(); }
  const Callable* callable() const { return object<const Callable>(); }
  const std::string& undefined_name() const;

  /// As Python's bool().
  bool truth() const;
  /// For errors: `a list`.
  const char* kind() const;

 private:
  template <typename T>
  T* object() const {
    const auto* held = std::get_if<std::shared_ptr<T>>(&held_);
    return held ? held->get() : nullptr;
  }
  std::variant<Undefined, std::nullptr_t, bool, std::int64_t, double, std::shared_ptr<const std::string>, std::shared_ptr<const List>,
               std::shared_ptr<const Dict>, std::shared_ptr<Namespace>, std::shared_ptr<const Loop>, std::shared_ptr<const Callable>>
      held_;
};

inline constexpr int kMaxNesting = 100;  ///< of values within each other: they are walked and freed by recursion

/// Items in a row. A view (dict.items()) has no places; a stream (a filter's lazy result) has no length either and is read once.
struct List {
  enum class Form { kList, kTuple, kRange, kView, kStream };
  Values items;
  Form form = Form::kList;
  int nesting = 1;
  mutable std::size_t read = 0;  ///< of a stream
};

struct Dict {
  std::vector<std::pair<Value, Value>> entries;
  int nesting = 1;
  const Value* find(const Value& key) const;
  const Value* find(std::string_view key) const;
};

struct Namespace {
  std::vector<std::pair<std::string, Value>> entries;
};

/// What `loop` tells of.
struct Loop {
  Values items;
  std::size_t index0 = 0;
  int nesting = 1;
};

/// A macro, a function of the environment, or a method with its object.
struct Callable {
  std::string name;
  Value self{};
  const MacroNode* macro = nullptr;
  std::weak_ptr<Scope> scope{};  ///< where the macro stands; weak, for the scope holds the macro
  int nesting = 1;
};

// These throw Fault past kMaxNesting.
std::shared_ptr<Loop> make_loop(Values items);
Value make_method(Value self, std::string name);
Value make_list(Values items, List::Form form = List::Form::kList);
/// A later key of the same value wins, in the earlier one's place.
Value make_dict(std::vector<std::pair<Value, Value>> entries);

/// What a loop over the value meets. @throws Fault where it cannot be looped over.
Values items_of(const Value& value, Budget& budget);
/// @throws Fault where it has no length.
std::int64_t length_of(const Value& value, Budget& budget);

/// @throws Fault for what can be no dictionary's key.
void require_key(const Value& key);
bool equal(const Value& a, const Value& b, Budget& budget);
/// a < b. @throws Fault where the two have no order.
bool less(const Value& a, const Value& b, Budget& budget);

/// As Python's str() and repr().
std::string str(const Value& value, Budget& budget);
std::string repr(const Value& value, Budget& budget);

struct JsonStyle {
  bool ascii = false, sorted = false;
  std::string indent{};        ///< of one level; used where `broken`
  bool broken = false;         ///< into lines
  std::string between = ", ", colon = ": ";
};
/// As json.dumps. @throws Fault for what JSON does not know.
std::string to_json(const Value& value, const JsonStyle& style, Budget& budget);

}  // namespace herd::jinja
