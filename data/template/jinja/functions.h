#pragma once
#include <ctime>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "data/template/jinja/value.h"

namespace herd::jinja {

/// What a run needs besides its template. `now` is what strftime_now tells.
struct Context {
  Budget budget;
  std::tm now{};
};

/// Of a call. Each parameter is taken once, in its order; `done` finds those that are too many.
class Arguments {
 public:
  Arguments() = default;
  Arguments(Values positional, std::vector<std::pair<std::string, Value>> named) : positional_(std::move(positional)), named_(std::move(named)) {}

  std::optional<Value> take(std::string_view name);
  /// The same, in its place alone.
  std::optional<Value> take_next();
  std::optional<Value> take_named(std::string_view name);
  Value required(std::string_view name);
  std::string text(std::string_view name);                                     ///< @throws Fault where it is none, as for the next three
  std::optional<std::string> text_or_none(std::string_view name);
  std::int64_t integer_or(std::string_view name, std::int64_t otherwise);
  bool truth_or(std::string_view name, bool otherwise);
  std::vector<std::pair<std::string, Value>> take_all_named() { return std::exchange(named_, {}); }
  void done() const;

 private:
  Values positional_;
  std::vector<std::pair<std::string, Value>> named_;
  std::size_t at_ = 0;
};

// All of these throw Fault for what there is none of, or what they cannot be applied to.
Value unary(std::string_view op, const Value& value);
Value binary(std::string_view op, const Value& left, const Value& right, Budget& budget);
bool compare(std::string_view op, const Value& left, const Value& right, Budget& budget);

/// `object.name`: a method, else what the object holds; undefined where it has neither.
Value attribute_of(const Value& object, const std::string& name);
/// `object[key]`
Value item_of(const Value& object, const Value& key, Budget& budget);
Value slice_of(const Value& object, const Value& start, const Value& stop, const Value& step, Budget& budget);

Value call_filter(Context& context, const std::string& name, const Value& value, Arguments arguments);
bool call_test(Context& context, const std::string& name, const Value& value, Arguments arguments);
bool is_method(const Value& object, std::string_view name);
Value call_method(Context& context, const Value& object, const std::string& name, Arguments arguments);

bool is_function(std::string_view name);
Value call_function(Context& context, const std::string& name, Arguments arguments);

}  // namespace herd::jinja
