#pragma once
#include <algorithm>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "data/template/jinja/ast.h"
#include "data/template/jinja/lexer.h"

namespace herd::jinja {

/// Expressions out of tokens, by jinja2's precedence. Statements are its heir's (parser.cpp).
class ExpressionParser {
 public:
  explicit ExpressionParser(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

 protected:
  const Token& current() const { return tokens_[at_]; }
  const Token& ahead() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  Token take() { return std::move(tokens_[at_ + 1 < tokens_.size() ? at_++ : at_]); }
  bool is(Token::Kind kind) const { return current().kind == kind; }
  bool is_operator(std::string_view op) const { return is(Token::Kind::kOperator) && current().text == op; }
  bool is_name(std::string_view name) const { return is(Token::Kind::kName) && current().text == name; }
  bool skip_operator(std::string_view op) { return is_operator(op) && (take(), true); }
  bool skip_name(std::string_view name) { return is_name(name) && (take(), true); }
  void expect_operator(std::string_view op);
  /// @param role for the error: `a variable's name`.
  std::string expect_name(const char* role);
  [[noreturn]] void fail_unexpected(const std::string& expected) const;

  /// Statements and expressions within each other, bounded so that none is too deep to walk.
  class Deeper {
   public:
    explicit Deeper(ExpressionParser& parser);
    ~Deeper() { --parser_.depth_; }
    Deeper(const Deeper&) = delete;

   private:
    ExpressionParser& parser_;
  };

  ExpressionPtr expression();
  ExpressionPtr disjunction();  ///< without `… if … else …`
  /// One expression, or several with commas between them as a tuple.
  ExpressionPtr tuple(bool with_choice = true);
  ExpressionPtr filters(ExpressionPtr value);
  void arguments(Expression& call);
  ExpressionPtr primary();
  ExpressionPtr postfix(ExpressionPtr value);
  std::size_t loop_mentions_ = 0;  ///< of the name `loop` so far, of the innermost loop that is being read

 private:
  friend class Deeper;
  ExpressionPtr conjunction();
  ExpressionPtr negation();
  ExpressionPtr comparison();
  ExpressionPtr sum();
  ExpressionPtr concatenation();
  ExpressionPtr product();
  ExpressionPtr power();
  ExpressionPtr unary(bool with_filters);
  ExpressionPtr subscript(ExpressionPtr object);
  ExpressionPtr test(ExpressionPtr value);
  ExpressionPtr number();
  ExpressionPtr list();
  ExpressionPtr dictionary();
  bool at_tuple_end() const;
  ExpressionPtr make(Expression::Kind kind, std::string text, std::vector<ExpressionPtr> parts) const;
  template <typename... Parts>
  ExpressionPtr make_of(Expression::Kind kind, std::string text, Parts... parts) const {
    std::vector<ExpressionPtr> all;
    (all.push_back(std::move(parts)), ...);
    return make(kind, std::move(text), std::move(all));
  }
  template <typename Next>
  ExpressionPtr left_to_right(std::initializer_list<std::string_view> operators, Next next);

  std::vector<Token> tokens_;
  std::size_t at_ = 0;
  int depth_ = 0;
};

}  // namespace herd::jinja
