#include "data/template/jinja/lexer.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "data/template/jinja/text.h"
#include "data/tokenizer/utf8.h"
#include "runtime/base/error.h"

namespace herd::jinja {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_name_character(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }

/// All line ends as "\n", without one at the very end.
std::string plain_lines(std::string_view source) {
  auto out = replace_all(replace_all(source, "\r\n", "\n"), "\r", "\n");
  if (out.ends_with('\n')) out.pop_back();
  return out;
}

int hex_value(std::string_view digits) {
  int out = 0;
  for (const char c : digits) {
    if (!std::isxdigit(static_cast<unsigned char>(c))) return -1;
    out = out * 16 + (is_digit(c) ? c - '0' : std::tolower(c) - 'a' + 10);
  }
  return out;
}

/// What a string's escapes stand for, as in Python.
std::string unescaped(std::string_view text, int line) {
  constexpr std::string_view from = "abfnrtv\\'\"", to = "\a\b\f\n\r\t\v\\'\"";
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    if (text[at] != '\\') {
      out += text[at++];
      continue;
    }
    const char c = text[at + 1];  // the lexer lets no string end in a lone backslash
    at += 2;
    if (const auto known = from.find(c); known != from.npos) {
      out += to[known];
    } else if (c == 'x' || c == 'u' || c == 'U') {
      const std::size_t size = c == 'x' ? 2 : c == 'u' ? 4 : 8;
      const auto code = at + size <= text.size() ? hex_value(text.substr(at, size)) : -1;
      if (code < 0 || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) fail_at(line, std::string("a broken escape \\") + c, "a character's number");
      append_code_point(out, static_cast<char32_t>(code));
      at += size;
    } else if (c >= '0' && c <= '7') {
      char32_t code = 0;
      for (--at; at < text.size() && text[at] >= '0' && text[at] <= '7' && code < 64; ++at) code = code * 8 + static_cast<char32_t>(text[at] - '0');
      append_code_point(out, code);
    } else if (c == 'N') {
      fail_at(line, "the escape \\N", "the character itself, or \\u");
    } else if (c != '\n') {
      out += '\\';
      out += c;
    }
  }
  return out;
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : text_(source) {}

  std::vector<Token> run() {
    while (at_ < text_.size()) {
      const auto open = next_open();
      if (open == text_.npos) {
        add_data(text_.substr(at_));
        at_ = text_.size();
        break;
      }
      const char kind = text_[open + 1];
      const char sign = open + 2 < text_.size() ? text_[open + 2] : ' ';
      add_data(before_tag(text_.substr(at_, open - at_), kind, sign));
      move_to(open + 2 + (sign == '-' || sign == '+' ? 1 : 0));
      starts_line_ = false;
      if (kind == '#')
        comment();
      else if (kind == '{' || !raw())
        tag(kind);
    }
    out_.push_back({Token::Kind::kEnd, "", line_});
    return std::move(out_);
  }

 private:
  std::size_t next_open() const {
    for (auto at = text_.find('{', at_); at != text_.npos; at = text_.find('{', at + 1))
      if (at + 1 < text_.size() && (text_[at + 1] == '{' || text_[at + 1] == '%' || text_[at + 1] == '#')) return at;
    return text_.npos;
  }

  /// Text before a tag, without what the tag's sign, or its being alone on its line, takes away.
  std::string_view before_tag(std::string_view data, char kind, char sign) const {
    if (sign == '-') return rstrip(data);
    if (sign == '+' || kind == '{') return data;
    const auto begin = data.rfind('\n') + 1;  // 0 where there is none
    const auto rest = data.substr(begin);
    const bool alone = (begin > 0 || starts_line_) && !rest.empty() && lstrip(rest).empty();
    return alone ? data.substr(0, begin) : data;
  }

  void add_data(std::string_view data) {
    if (!data.empty()) out_.push_back({Token::Kind::kData, std::string(data), line_});
  }

  void move_to(std::size_t to) {
    line_ += static_cast<int>(std::count(text_.begin() + static_cast<std::ptrdiff_t>(at_), text_.begin() + static_cast<std::ptrdiff_t>(to), '\n'));
    at_ = to;
  }

  /// Past the end of a tag at `at_`, of the form [-+]close, if it is there. A block's end takes one line end along.
  bool end_of(std::string_view close, bool takes_line_end) {
    const auto rest = text_.substr(at_);
    const bool minus = rest.starts_with('-') && rest.substr(1).starts_with(close);
    const bool plus = takes_line_end && rest.starts_with('+') && rest.substr(1).starts_with(close);
    if (!minus && !plus && !rest.starts_with(close)) return false;
    auto to = at_ + close.size() + (minus || plus ? 1 : 0);
    if (minus)
      to = text_.size() - lstrip(text_.substr(to)).size();
    else if (takes_line_end && !plus && to < text_.size() && text_[to] == '\n')
      ++to;
    starts_line_ = text_[to - 1] == '\n';
    move_to(to);
    return true;
  }

  void comment() {
    const auto from = line_;
    for (; at_ < text_.size(); move_to(at_ + 1))
      if (end_of("#}", true)) return;
    fail_at(from, "a comment without an end", "#}");
  }

  /// After `{%`: text up to `{% endraw %}` as it is, if that is what begins here.
  bool raw() {
    const auto past_word = [&](std::size_t at, std::string_view word) {
      const auto rest = lstrip(text_.substr(at));
      return rest.starts_with(word) ? text_.size() - lstrip(rest.substr(word.size())).size() : text_.npos;
    };
    const auto begin = past_word(at_, "raw");
    if (begin == text_.npos || !(text_.substr(begin).starts_with("%}") || text_.substr(begin).starts_with("-%}"))) return false;
    const auto from = line_;
    move_to(begin);
    if (text_[at_] == '-') end_of("%}", true); else move_to(at_ + 2);
    starts_line_ = text_[at_ - 1] == '\n';
    for (auto open = text_.find("{%", at_); open != text_.npos; open = text_.find("{%", open + 1)) {
      const char sign = open + 2 < text_.size() ? text_[open + 2] : ' ';
      const auto end = past_word(open + 2 + (sign == '-' || sign == '+' ? 1 : 0), "endraw");
      if (end == text_.npos) continue;
      const auto rest = text_.substr(end);
      if (!rest.starts_with("%}") && !rest.starts_with("-%}") && !rest.starts_with("+%}")) continue;
      add_data(before_tag(text_.substr(at_, open - at_), '%', sign));
      move_to(end);
      return end_of("%}", true);
    }
    fail_at(from, "{% raw %} without an end", "{% endraw %}");
  }

  void tag(char kind) {
    const bool block = kind == '%';
    const auto from = line_;
    out_.push_back({block ? Token::Kind::kBlockBegin : Token::Kind::kVariableBegin, "", line_});
    std::string open;  // brackets
    while (at_ < text_.size()) {
      const auto line = line_;
      if (open.empty() && end_of(block ? "%}" : "}}", block)) {
        out_.push_back({block ? Token::Kind::kBlockEnd : Token::Kind::kVariableEnd, "", line});
        return;
      }
      token(open);
    }
    fail_at(from, block ? "{% without an end" : "{{ without an end", block ? "%}" : "}}");
  }

  void token(std::string& open) {
    const char c = text_[at_];
    auto past = at_;
    if (is_space(next_code_point(text_, past))) return move_to(past);
    if (is_digit(c)) return number();
    if (is_name_character(c)) {
      auto end = at_;
      while (end < text_.size() && is_name_character(text_[end])) ++end;
      return add(Token::Kind::kName, end);
    }
    if (c == '\'' || c == '"') return string(c);
    static constexpr std::array<std::string_view, 27> operators{"//", "**", "==", "!=", "<=", ">=", "+", "-", "/", "*", "%", "~", "[", "]",
                                                                "(",  ")",  "{",  "}",  "<",  ">",  "=", ".", ":", "|", ",", ";", "!"};
    for (const auto op : operators) {
      if (!text_.substr(at_).starts_with(op)) continue;
      if (op == "(" || op == "[" || op == "{") open += op == "(" ? ')' : op == "[" ? ']' : '}';
      if (op == ")" || op == "]" || op == "}") {
        if (open.empty() || open.back() != op[0]) fail_at(line_, "an unexpected '" + std::string(op) + "'", open.empty() ? "" : std::string(1, open.back()));
        open.pop_back();
      }
      return add(Token::Kind::kOperator, at_ + op.size());
    }
    fail_at(line_, "the character '" + std::string(text_.substr(at_, past - at_)) + "' within a tag", "names, numbers, strings and operators");
  }

  void number() {
    auto end = at_;
    const auto digits = [&] {
      while (end < text_.size() && (is_digit(text_[end]) || (text_[end] == '_' && end + 1 < text_.size() && is_digit(text_[end + 1])))) ++end;
    };
    digits();
    if (end < text_.size() && end == at_ + 1 && text_[at_] == '0' && std::string_view("xXoObB").find(text_[end]) != std::string_view::npos)
      fail_at(line_, "a number in another base than ten", "digits");
    bool is_float = false;
    const bool after_dot = at_ > 0 && text_[at_ - 1] == '.';
    const auto digit_at = [&](std::size_t at) { return at < text_.size() && is_digit(text_[at]); };
    if (!after_dot && end < text_.size() && text_[end] == '.' && digit_at(end + 1)) {
      is_float = true;
      ++end;
      digits();
    }
    if (!after_dot && end < text_.size() && (text_[end] == 'e' || text_[end] == 'E')) {
      const auto exponent = end + 1 + (end + 1 < text_.size() && (text_[end + 1] == '+' || text_[end + 1] == '-') ? 1 : 0);
      if (digit_at(exponent)) {
        is_float = true;
        end = exponent;
        digits();
      }
    }
    add(is_float ? Token::Kind::kFloat : Token::Kind::kInteger, end);
    std::erase(out_.back().text, '_');
  }

  void string(char quote) {
    auto end = at_ + 1;
    while (end < text_.size() && text_[end] != quote) end += text_[end] == '\\' ? 2 : 1;
    if (end >= text_.size()) fail_at(line_, "a string without an end", std::string(1, quote));
    out_.push_back({Token::Kind::kString, unescaped(text_.substr(at_ + 1, end - at_ - 1), line_), line_});
    move_to(end + 1);
  }

  void add(Token::Kind kind, std::size_t end) {
    out_.push_back({kind, std::string(text_.substr(at_, end - at_)), line_});
    move_to(end);
  }

  std::string_view text_;
  std::size_t at_ = 0;
  int line_ = 1;
  bool starts_line_ = true;
  std::vector<Token> out_;
};

}  // namespace

std::vector<Token> tokens_of(std::string_view source) {
  const auto text = plain_lines(source);
  return Lexer(text).run();
}

void fail_at(int line, const std::string& found, const std::string& expected, const std::string& remedy) {
  throw DataError({.who = "chat template, line " + std::to_string(line),
                   .found = found,
                   .expected = expected.empty() ? "what herd knows of Jinja (docs/chat-templates.md)" : expected,
                   .remedy = remedy.empty() ? "write a template file instead, see configs/templates: data.template=mine.yaml" : remedy});
}

}  // namespace herd::jinja
