#include <charconv>
#include <cmath>

#include "data/template/jinja/number_filters.h"
#include "data/template/jinja/text.h"

namespace herd::jinja {
namespace {

std::optional<double> real_of(std::string_view text) {
  std::string plain(strip(text));
  std::erase(plain, '_');
  const auto* begin = plain.data() + (plain.starts_with('+') ? 1 : 0);
  double out = 0;
  const auto [stop, error] = std::from_chars(begin, plain.data() + plain.size(), out);
  if (error == std::errc::result_out_of_range) return HUGE_VAL;
  return error == std::errc{} && stop == plain.data() + plain.size() ? std::optional(out) : std::nullopt;
}

std::optional<std::int64_t> truncated(double value) {
  if (!std::isfinite(value)) return std::nullopt;
  if (std::abs(value) >= 9.2e18) throw Fault{"a number past 64 bits", "a smaller one", ""};
  return static_cast<std::int64_t>(value);
}

[[noreturn]] void fail_undefined(const Value& value) { throw Fault{"'" + value.undefined_name() + "', which is undefined, as a number", "a value", ""}; }

}  // namespace

Value to_int(Context&, const Value& value, Arguments& arguments) {
  const auto otherwise = arguments.take("default").value_or(Value(std::int64_t{0}));
  if (arguments.integer_or("base", 10) != 10) throw Fault{"int of another base than ten", "what herd knows of Jinja (docs/chat-templates.md)", ""};
  if (value.is_undefined()) fail_undefined(value);
  if (value.is_integral()) return value.integer();
  const auto real = value.is_float() ? std::optional(value.number()) : value.is_string() ? real_of(value.string()) : std::nullopt;
  if (value.is_string()) {
    const std::string plain(strip(value.string()));
    const auto* begin = plain.data() + (plain.starts_with('+') ? 1 : 0);
    std::int64_t whole = 0;
    if (const auto [stop, error] = std::from_chars(begin, plain.data() + plain.size(), whole); error == std::errc{} && stop == plain.data() + plain.size()) return whole;
  }
  const auto whole = real ? truncated(*real) : std::nullopt;
  if (whole) return *whole;
  if (value.is_float() && std::isinf(value.number())) throw Fault{"int of infinity", "a number", ""};
  return otherwise;
}

Value to_float(Context&, const Value& value, Arguments& arguments) {
  const auto otherwise = arguments.take("default").value_or(Value(0.0));
  if (value.is_undefined()) fail_undefined(value);
  const auto real = value.is_number() ? std::optional(value.number()) : value.is_string() ? real_of(value.string()) : std::nullopt;
  return real ? Value(*real) : otherwise;
}

Value magnitude(Context& context, const Value& value, Arguments&) {
  if (!value.is_number()) throw Fault{"abs of " + std::string(value.kind()), "a number", ""};
  return value.is_float() ? Value(std::abs(value.number())) : value.integer() < 0 ? unary("-", value) : binary("+", value, Value(std::int64_t{0}), context.budget);
}

}  // namespace herd::jinja
