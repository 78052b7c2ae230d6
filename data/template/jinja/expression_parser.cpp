#include "data/template/jinja/expression_parser.h"

#include <algorithm>

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

}  // namespace herd::jinja
