#include "data/template/jinja/expression_parser.h"

#include <algorithm>
#include <charconv>

namespace herd::jinja {
namespace {

using Kind = Expression::Kind;
constexpr int kMaxDepth = 200;

std::string shown(const Token& token) {
  switch (token.kind) {
    case Token::Kind::kEnd: return "the template's end";
    case Token::Kind::kBlockEnd: return "'%}'";
    case Token::Kind::kVariableEnd: return "'}}'";
    case Token::Kind::kString: return "the text '" + token.text.substr(0, 40) + "'";
    default: return "'" + token.text.substr(0, 40) + "'";
  }
}

}  // namespace

ExpressionParser::Deeper::Deeper(ExpressionParser& parser) : parser_(parser) {
  if (++parser.depth_ > kMaxDepth) fail_at(parser.current().line, "statements or expressions more than " + std::to_string(kMaxDepth) + " deep", "flatter ones");
}

void ExpressionParser::fail_unexpected(const std::string& expected) const { fail_at(current().line, "an unexpected " + shown(current()), expected); }

void ExpressionParser::expect_operator(std::string_view op) {
  if (!skip_operator(op)) fail_unexpected("'" + std::string(op) + "'");
}

std::string ExpressionParser::expect_name(const char* role) {
  if (!is(Token::Kind::kName)) fail_unexpected(role);
  return take().text;
}

ExpressionPtr ExpressionParser::make(Kind kind, std::string text, std::vector<ExpressionPtr> parts) const {
  auto out = std::make_unique<Expression>();
  out->kind = kind;
  out->line = current().line;
  out->text = std::move(text);
  for (const auto& part : parts)
    if (part) out->depth = std::max(out->depth, part->depth + 1);
  if (out->depth > kMaxDepth) fail_at(out->line, "an expression of more than " + std::to_string(kMaxDepth) + " levels", "a shorter one");
  out->parts = std::move(parts);
  return out;
}

template <typename... Parts>
ExpressionPtr ExpressionParser::make_of(Kind kind, std::string text, Parts... parts) const {
  std::vector<ExpressionPtr> all;
  (all.push_back(std::move(parts)), ...);
  return make(kind, std::move(text), std::move(all));
}

template <typename Next>
ExpressionPtr ExpressionParser::left_to_right(std::initializer_list<std::string_view> operators, Next next) {
  auto out = next();
  for (;;) {
    const auto op = std::find_if(operators.begin(), operators.end(), [&](std::string_view each) { return is_operator(each) || is_name(each); });
    if (op == operators.end()) return out;
    take();
    auto right = next();
    out = make_of(Kind::kBinary, std::string(*op), std::move(out), std::move(right));
  }
}

ExpressionPtr ExpressionParser::expression() {
  const Deeper deeper(*this);
  auto value = disjunction();
  while (skip_name("if")) {
    auto condition = disjunction();
    auto other = skip_name("else") ? expression() : nullptr;
    value = make_of(Kind::kChoice, "", std::move(condition), std::move(value), std::move(other));
  }
  return value;
}

ExpressionPtr ExpressionParser::tuple(bool with_choice) {
  std::vector<ExpressionPtr> parts;
  bool several = false;
  while (!at_tuple_end()) {
    parts.push_back(with_choice ? expression() : disjunction());
    if (!skip_operator(",")) break;
    several = true;
  }
  if (!several && parts.size() == 1) return std::move(parts[0]);
  if (!several && !is_operator(")")) fail_unexpected("an expression");
  return make(Kind::kTuple, "", std::move(parts));
}

bool ExpressionParser::at_tuple_end() const { return is(Token::Kind::kVariableEnd) || is(Token::Kind::kBlockEnd) || is_operator(")"); }

ExpressionPtr ExpressionParser::disjunction() {
  return left_to_right({"or"}, [this] { return conjunction(); });
}

ExpressionPtr ExpressionParser::conjunction() {
  return left_to_right({"and"}, [this] { return negation(); });
}

ExpressionPtr ExpressionParser::negation() {
  const Deeper deeper(*this);
  if (!skip_name("not")) return comparison();
  return make_of(Kind::kUnary, "not", negation());
}

ExpressionPtr ExpressionParser::comparison() {
  std::vector<ExpressionPtr> parts;
  std::vector<std::string> operators;
  parts.push_back(sum());
  for (;;) {
    static constexpr std::string_view known[] = {"==", "!=", "<=", ">=", "<", ">"};
    if (const auto* op = std::find_if(std::begin(known), std::end(known), [&](auto each) { return is_operator(each); }); op != std::end(known)) {
      take();
      operators.emplace_back(*op);
    } else if (skip_name("in")) {
      operators.emplace_back("in");
    } else if (is_name("not") && ahead().kind == Token::Kind::kName && ahead().text == "in") {
      take();
      take();
      operators.emplace_back("not in");
    } else {
      break;
    }
    parts.push_back(sum());
  }
  if (operators.empty()) return std::move(parts[0]);
  auto out = make(Kind::kCompare, "", std::move(parts));
  out->operators = std::move(operators);
  return out;
}

ExpressionPtr ExpressionParser::sum() {
  return left_to_right({"+", "-"}, [this] { return concatenation(); });
}

ExpressionPtr ExpressionParser::concatenation() {
  std::vector<ExpressionPtr> parts;
  do parts.push_back(product());
  while (skip_operator("~"));
  return parts.size() == 1 ? std::move(parts[0]) : make(Kind::kConcat, "", std::move(parts));
}

ExpressionPtr ExpressionParser::product() {
  return left_to_right({"*", "/", "//", "%"}, [this] { return power(); });
}

ExpressionPtr ExpressionParser::power() {
  return left_to_right({"**"}, [this] { return unary(true); });
}

ExpressionPtr ExpressionParser::unary(bool with_filters) {
  const Deeper deeper(*this);
  ExpressionPtr out;
  if (is_operator("-") || is_operator("+")) {
    auto sign = take().text;
    out = make_of(Kind::kUnary, std::move(sign), unary(false));
  } else {
    out = primary();
  }
  out = postfix(std::move(out));
  return with_filters ? filters(std::move(out)) : std::move(out);
}

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
