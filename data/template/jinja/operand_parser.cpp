#include <algorithm>
#include <charconv>

#include "data/template/jinja/expression_parser.h"

namespace herd::jinja {

using Kind = Expression::Kind;

ExpressionPtr ExpressionParser::primary() {
  auto out = make(Kind::kConstant, "", {});
  if (is(Token::Kind::kName)) {
    const auto name = take().text;
    if (name == "true" || name == "True" || name == "false" || name == "False") {
      out->value = name == "true" || name == "True";
    } else if (name != "none" && name != "None") {
      if (name == "loop") ++loop_mentions_;
      out->kind = Kind::kName;
      out->text = name;
    }
    return out;
  }
  if (is(Token::Kind::kString)) {
    std::string text;
    while (is(Token::Kind::kString)) text += take().text;
    out->value = text;
    return out;
  }
  if (is(Token::Kind::kInteger) || is(Token::Kind::kFloat)) return number();
  if (skip_operator("(")) {
    out = tuple();
    expect_operator(")");
    return out;
  }
  if (is_operator("[")) return list();
  if (is_operator("{")) return dictionary();
  fail_unexpected("an expression");
}

ExpressionPtr ExpressionParser::number() {
  auto out = make(Kind::kConstant, "", {});
  const auto token = take();
  const auto *begin = token.text.data(), *end = begin + token.text.size();
  std::int64_t integer = 0;
  double real = 0;
  const bool whole = token.kind == Token::Kind::kInteger;
  const auto [stop, error] = whole ? std::from_chars(begin, end, integer) : std::from_chars(begin, end, real);
  if (error != std::errc{} || stop != end) fail_at(token.line, "the number " + token.text.substr(0, 40), "one of 64 bits");
  out->value = whole ? Value(integer) : Value(real);
  return out;
}

ExpressionPtr ExpressionParser::list() {
  expect_operator("[");
  std::vector<ExpressionPtr> parts;
  while (!is_operator("]")) {
    parts.push_back(expression());
    if (!skip_operator(",")) break;
  }
  expect_operator("]");
  return make(Kind::kList, "", std::move(parts));
}

ExpressionPtr ExpressionParser::dictionary() {
  expect_operator("{");
  std::vector<ExpressionPtr> parts;
  while (!is_operator("}")) {
    parts.push_back(expression());
    expect_operator(":");
    parts.push_back(expression());
    if (!skip_operator(",")) break;
  }
  expect_operator("}");
  return make(Kind::kDict, "", std::move(parts));
}

ExpressionPtr ExpressionParser::postfix(ExpressionPtr value) {
  for (;;) {
    if (skip_operator(".")) {
      if (is(Token::Kind::kInteger)) {
        auto place = number();
        value = make_of(Kind::kItem, "", std::move(value), std::move(place));
      } else {
        auto name = expect_name("an attribute's name");
        value = make_of(Kind::kAttribute, std::move(name), std::move(value));
      }
    } else if (is_operator("[")) {
      value = subscript(std::move(value));
    } else if (is_operator("(")) {
      value = make_of(Kind::kCall, "", std::move(value));
      arguments(*value);
    } else {
      return value;
    }
  }
}

ExpressionPtr ExpressionParser::subscript(ExpressionPtr object) {
  expect_operator("[");
  std::vector<ExpressionPtr> parts;
  parts.push_back(std::move(object));
  bool slice = false;
  const auto part = [&] { parts.push_back(is_operator(":") || is_operator("]") ? nullptr : expression()); };
  part();
  while (parts.size() < 4 && skip_operator(":")) {
    slice = true;
    part();
  }
  if (is_operator(",")) fail_unexpected("']': one place or one slice");
  if (!slice && !parts[1]) fail_unexpected("a place");
  expect_operator("]");
  if (slice) parts.resize(4);
  return make(slice ? Kind::kSlice : Kind::kItem, "", std::move(parts));
}

void ExpressionParser::arguments(Expression& call) {
  expect_operator("(");
  while (!is_operator(")")) {
    if (is_operator("*") || is_operator("**")) fail_unexpected("arguments one by one: herd knows no * before them");
    if (is(Token::Kind::kName) && ahead().kind == Token::Kind::kOperator && ahead().text == "=") {
      auto name = take().text;
      take();
      call.named.emplace_back(std::move(name), expression());
      call.depth = std::max(call.depth, call.named.back().second->depth + 1);
    } else {
      if (!call.named.empty()) fail_unexpected("a named argument");
      call.parts.push_back(expression());
      call.depth = std::max(call.depth, call.parts.back()->depth + 1);
    }
    if (!skip_operator(",")) break;
  }
  expect_operator(")");
}

ExpressionPtr ExpressionParser::filters(ExpressionPtr value) {
  for (;;) {
    if (skip_operator("|")) {
      auto name = expect_name("a filter's name");
      value = make_of(Kind::kFilter, std::move(name), std::move(value));
      if (is_operator("(")) arguments(*value);
    } else if (skip_name("is")) {
      value = test(std::move(value));
    } else if (is_operator("(")) {
      value = make_of(Kind::kCall, "", std::move(value));
      arguments(*value);
    } else {
      return value;
    }
  }
}

ExpressionPtr ExpressionParser::test(ExpressionPtr value) {
  const bool negated = skip_name("not");
  auto name = expect_name("a test's name");
  auto out = make_of(Kind::kTest, std::move(name), std::move(value));
  out->negated = negated;
  const bool value_follows = (is(Token::Kind::kName) && !is_name("else") && !is_name("or") && !is_name("and")) || is(Token::Kind::kString) ||
                             is(Token::Kind::kInteger) || is(Token::Kind::kFloat) || is_operator("[") || is_operator("{");
  if (is_operator("(")) {
    arguments(*out);
  } else if (is_name("is")) {
    fail_unexpected("one test: they do not chain");
  } else if (value_follows) {
    out->parts.push_back(postfix(primary()));
    out->depth = std::max(out->depth, out->parts.back()->depth + 1);
  }
  return out;
}

}  // namespace herd::jinja
