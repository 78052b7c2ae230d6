#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "data/template/jinja/text.h"
#include "data/template/jinja/value.h"
#include "data/tokenizer/utf8.h"

namespace herd::jinja {
namespace {

std::string float_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  auto text = fmt::format("{}", value);
  return text.find_first_of(".e") == text.npos ? text + ".0" : text;
}

std::string quoted(std::string_view text) {
  const char quote = text.find('\'') != text.npos && text.find('"') == text.npos ? '"' : '\'';
  std::string out(1, quote);
  for (std::size_t at = 0; at < text.size();) {
    const auto begin = at;
    const auto c = next_code_point(text, at);
    if (c == static_cast<char32_t>(quote) || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c == '\n' || c == '\r' || c == '\t') {
      out += c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t";
    } else if (is_printable(c)) {
      out.append(text.substr(begin, at - begin));
    } else {
      const auto code = static_cast<std::uint32_t>(c);
      out += code < 0x100 ? fmt::format("\\x{:02x}", code) : code < 0x10000 ? fmt::format("\\u{:04x}", code) : fmt::format("\\U{:08x}", code);
    }
  }
  return out + quote;
}

std::string list_text(const List& list, Budget& budget) {
  if (list.form == List::Form::kView || list.form == List::Form::kStream || list.form == List::Form::kRange)
    throw Fault{"the printing of what is no list yet", "a list", "put `| list` behind it"};
  const bool tuple = list.form == List::Form::kTuple;
  std::string out(1, tuple ? '(' : '[');
  for (const auto& item : list.items) out += (out.size() > 1 ? ", " : "") + repr(item, budget);
  if (tuple && list.items.size() == 1) out += ',';
  budget.make(out.size());
  return out + (tuple ? ')' : ']');
}

std::string dict_text(const Dict& dict, Budget& budget) {
  std::string out = "{";
  for (const auto& [key, value] : dict.entries) out += (out.size() > 1 ? ", " : "") + repr(key, budget) + ": " + repr(value, budget);
  budget.make(out.size());
  return out + "}";
}

std::string json_quoted(std::string_view text, bool ascii) {
  std::string out = "\"";
  for (std::size_t at = 0; at < text.size();) {
    const auto begin = at;
    const auto c = static_cast<std::uint32_t>(next_code_point(text, at));
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      case '\f': out += "\\f"; break;
      case '\b': out += "\\b"; break;
      default:
        if (c < 0x20 || (ascii && c > 0x7e && c < 0x10000))
          out += fmt::format("\\u{:04x}", c);
        else if (ascii && c >= 0x10000)
          out += fmt::format("\\u{:04x}\\u{:04x}", 0xd800 + ((c - 0x10000) >> 10), 0xdc00 + ((c - 0x10000) & 0x3ff));
        else
          out.append(text.substr(begin, at - begin));
    }
  }
  return out + '"';
}

class JsonWriter {
 public:
  JsonWriter(const JsonStyle& style, Budget& budget) : style_(style), budget_(budget) {}

  std::string write(const Value& value, int level) {
    budget_.spend();
    if (value.is_none()) return "null";
    if (value.is_bool()) return value.truth() ? "true" : "false";
    if (value.is_int()) return std::to_string(value.integer());
    if (value.is_float()) return number(value.number());
    if (value.is_string()) return text(value.string());
    const auto* list = value.list();
    if (list && (list->form == List::Form::kList || list->form == List::Form::kTuple)) {
      std::vector<std::string> parts;
      for (const auto& item : list->items) parts.push_back(write(item, level + 1));
      return within('[', ']', parts, level);
    }
    if (const auto* dict = value.dict()) {
      auto entries = dict->entries;
      if (style_.sorted) std::sort(entries.begin(), entries.end(), [&](const auto& a, const auto& b) { return less(a.first, b.first, budget_); });
      std::vector<std::string> parts;
      for (const auto& [key, item] : entries) parts.push_back(name(key) + style_.colon + write(item, level + 1));
      return within('{', '}', parts, level);
    }
    throw Fault{std::string(list ? "what is no list yet" : value.kind()) + " as JSON", "texts, numbers, lists and dictionaries", ""};
  }

 private:
  std::string text(const std::string& value) {
    budget_.make(value.size());
    return json_quoted(value, style_.ascii);
  }

  static std::string number(double value) {
    return std::isnan(value) ? "NaN" : std::isinf(value) ? (value < 0 ? "-Infinity" : "Infinity") : float_text(value);
  }

  std::string name(const Value& key) {
    if (key.is_string()) return text(key.string());
    if (key.is_number() || key.is_none()) return '"' + write(key, 0) + '"';
    throw Fault{std::string(key.kind()) + " as a key of JSON", "a text or a number", ""};
  }

  std::string within(char open, char close, const std::vector<std::string>& parts, int level) {
    std::string out(1, open);
    const auto line = [&](int to) {
      out += '\n';
      for (int i = 0; i < to; ++i) out += style_.indent;
    };
    for (std::size_t i = 0; i < parts.size(); ++i) {
      if (i > 0) out += style_.between;
      if (style_.broken) line(level + 1);
      budget_.make(parts[i].size() + style_.indent.size() * static_cast<std::size_t>(level + 1));
      out += parts[i];
    }
    if (style_.broken && !parts.empty()) line(level);
    return out + close;
  }

  const JsonStyle& style_;
  Budget& budget_;
};

}  // namespace

std::string str(const Value& value, Budget& budget) {
  if (value.is_undefined()) return "";
  if (!value.is_string()) return repr(value, budget);
  budget.make(value.string().size());
  return value.string();
}

std::string repr(const Value& value, Budget& budget) {
  budget.spend();
  if (value.is_undefined()) return "Undefined";
  if (value.is_none()) return "None";
  if (value.is_bool()) return value.truth() ? "True" : "False";
  if (value.is_int()) return std::to_string(value.integer());
  if (value.is_float()) return float_text(value.number());
  if (value.is_string()) {
    budget.make(value.string().size());
    return quoted(value.string());
  }
  if (value.list()) return list_text(*value.list(), budget);
  if (value.dict()) return dict_text(*value.dict(), budget);
  throw Fault{"the printing of " + std::string(value.kind()), "a text, a number, a list or a dictionary", ""};
}

std::string to_json(const Value& value, const JsonStyle& style, Budget& budget) { return JsonWriter(style, budget).write(value, 0); }

}  // namespace herd::jinja
