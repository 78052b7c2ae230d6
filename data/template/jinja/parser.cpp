#include "data/template/jinja/parser.h"

#include <algorithm>

#include "data/template/jinja/expression_parser.h"

namespace herd::jinja {
namespace {

using Kind = Statement::Kind;

class Parser : ExpressionParser {
 public:
  explicit Parser(std::string_view source) : ExpressionParser(tokens_of(source)) {}

  Block run() {
    auto out = block({});
    if (!is(Token::Kind::kEnd)) fail_unexpected("a statement");
    return out;
  }

 private:
  /// Up to a tag that begins with one of `ends`, whose name is then current.
  Block block(const std::vector<std::string_view>& ends) {
    const Deeper deeper(*this);
    const auto from = current().line;
    Block out;
    while (!is(Token::Kind::kEnd)) {
      const auto token = take();
      Statement statement{.line = token.line};
      if (token.kind == Token::Kind::kData) {
        statement.text = token.text;
      } else if (token.kind == Token::Kind::kVariableBegin) {
        statement.kind = Kind::kPrint;
        statement.expression = tuple();
        if (!is(Token::Kind::kVariableEnd)) fail_unexpected("'}}'");
        take();
      } else {
        if (std::any_of(ends.begin(), ends.end(), [&](std::string_view end) { return is_name(end); })) return out;
        statement = tag();
      }
      out.push_back(std::move(statement));
    }
    if (!ends.empty()) fail_at(from, "a block without an end", "{% " + std::string(ends.back()) + " %}");
    return out;
  }

  Block body(std::string_view end) {
    auto out = block({end});
    end_tag();
    return out;
  }

  /// The name that ends a block, and its tag.
  void end_tag() {
    take();
    close();
  }

  void close() {
    if (!is(Token::Kind::kBlockEnd)) fail_unexpected("'%}'");
    take();
  }

  Statement tag() {
    const auto name = is(Token::Kind::kName) ? current().text : std::string();
    const auto line = current().line;
    Statement out{.line = line};
    if (name == "for") {
      loop(out);
    } else if (name == "if") {
      choice(out);
    } else if (name == "set") {
      set(out);
    } else if (name == "macro") {
      macro(out);
    } else if (name == "call") {
      call(out);
    } else if (name == "generation") {
      take();
      close();
      out.kind = Kind::kScope;
      out.body = body("endgeneration");
    } else if (name == "break" || name == "continue") {
      if (loops_ == 0) fail_at(line, "{% " + name + " %} outside a loop");
      take();
      close();
      out.kind = name == "break" ? Kind::kBreak : Kind::kContinue;
    } else {
      fail_at(line, name.empty() ? "a tag without a statement" : "{% " + name + " %}",
              "one of for, if, set, macro, call, break, continue, generation, raw (docs/chat-templates.md)");
    }
    return out;
  }

  void loop(Statement& out) {
    take();
    out.kind = Kind::kFor;
    out.target = names("in");
    if (!skip_name("in")) fail_unexpected("'in'");
    out.expression = tuple(false);
    if (skip_name("if")) out.condition = expression();
    if (is_name("recursive")) fail_unexpected("'%}': herd knows no recursive loops");
    close();
    ++loops_;
    const auto around = std::exchange(loop_mentions_, 0);
    out.body = block({"else", "endfor"});
    out.looks_ahead = std::exchange(loop_mentions_, around) > 0;
    --loops_;
    if (is_name("else")) {
      end_tag();
      out.otherwise = body("endfor");
    } else {
      end_tag();
    }
  }

  void choice(Statement& out) {
    out.kind = Kind::kIf;
    do {
      take();  // if, elif
      auto condition = tuple(false);
      close();
      auto then = block({"elif", "else", "endif"});
      out.branches.emplace_back(std::move(condition), std::move(then));
    } while (is_name("elif"));
    if (is_name("else")) {
      end_tag();
      out.branches.emplace_back(nullptr, body("endif"));
    } else {
      end_tag();
    }
  }

  void set(Statement& out) {
    take();
    out.target = names("=");
    if (skip_operator("=")) {
      out.kind = Kind::kSet;
      out.expression = tuple();
      close();
      return;
    }
    out.kind = Kind::kSetBlock;
    if (is_operator("|")) out.expression = filters(nullptr);
    for (const auto* filter = out.expression.get(); filter; filter = filter->parts[0].get())
      if (filter->kind != Expression::Kind::kFilter) fail_at(filter->line, "what is no filter behind {% set name", "filters");
    close();
    out.body = body("endset");
  }

  Target names(std::string_view end) {
    Target out;
    const bool bracketed = skip_operator("(");
    do {
      if (is_operator(end) || is_name(end) || is_operator(")")) break;
      out.names.push_back(assignable());
      if (end == "=" && skip_operator(".")) {
        out.attribute = expect_name("an attribute's name");
        if (is_operator(",") || out.names.size() > 1) fail_unexpected("one attribute alone");
      }
      if (is_operator(",")) out.several = true;
    } while (skip_operator(","));
    if (bracketed) expect_operator(")");
    if (out.names.empty()) fail_unexpected("a variable's name");
    return out;
  }

  std::string assignable() {
    const auto line = current().line;
    auto name = expect_name("a variable's name");
    for (const auto* taken : {"true", "false", "none", "True", "False", "None"})
      if (name == taken) fail_at(line, "'" + name + "' as a variable's name");
    return name;
  }

  void signature(MacroNode& macro) {
    expect_operator("(");
    while (!is_operator(")")) {
      macro.parameters.push_back(assignable());
      if (skip_operator("="))
        macro.defaults.push_back(expression());
      else if (!macro.defaults.empty())
        fail_unexpected("a default, as the parameter before has one");
      if (!skip_operator(",")) break;
    }
    expect_operator(")");
  }

  void macro(Statement& out) {
    take();
    out.kind = Kind::kMacro;
    out.macro = std::make_unique<MacroNode>();
    out.macro->name = assignable();
    signature(*out.macro);
    close();
    const auto loops = std::exchange(loops_, 0);
    out.macro->body = body("endmacro");
    loops_ = loops;
  }

  void call(Statement& out) {
    take();
    out.kind = Kind::kCallBlock;
    out.macro = std::make_unique<MacroNode>();
    out.macro->name = "caller";
    if (is_operator("(")) signature(*out.macro);
    const auto line = current().line;
    out.expression = expression();
    if (out.expression->kind != Expression::Kind::kCall) fail_at(line, "{% call %} of what is no call", "a macro's call");
    close();
    const auto loops = std::exchange(loops_, 0);
    out.macro->body = body("endcall");
    loops_ = loops;
  }

  int loops_ = 0;
};

}  // namespace

Block parse(std::string_view source) { return Parser(source).run(); }

}  // namespace herd::jinja
