#include <algorithm>
#include <array>

#include "data/template/jinja/functions.h"
#include "data/template/jinja/text.h"

namespace herd::jinja {
namespace {

constexpr std::array kOfTexts{"strip", "lstrip", "rstrip", "split", "rsplit", "splitlines", "startswith", "endswith", "upper", "lower", "title", "capitalize", "replace",
                              "find", "rfind", "index", "count", "join", "removeprefix", "removesuffix", "isdigit", "isspace", "isupper", "islower", "isalpha", "isalnum",
                              "format", "format_map", "casefold", "swapcase", "center", "ljust", "rjust", "zfill", "partition", "rpartition", "encode", "expandtabs",
                              "isdecimal", "isnumeric", "isidentifier", "isprintable", "istitle", "isascii", "translate", "rindex"};
constexpr std::array kOfDicts{"get", "items", "keys", "values", "copy"};
constexpr std::array kOfLists{"index", "count", "copy"};

template <std::size_t N>
bool has(const std::array<const char*, N>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

Value texts(const std::vector<std::string_view>& parts, Budget& budget) {
  budget.make(parts.size() * sizeof(Value));
  Values out;
  for (const auto part : parts) out.emplace_back(part);
  return make_list(std::move(out));
}

Value stripped(const std::string& text, const std::string& name, Arguments& arguments) {
  const auto chars = arguments.text_or_none("chars");
  const std::string_view view = chars ? *chars : std::string_view();
  const auto* set = chars ? &view : nullptr;
  return name == "strip" ? strip(text, set) : name == "lstrip" ? lstrip(text, set) : rstrip(text, set);
}

Value split_at(const std::string& text, const std::string& name, Arguments& arguments, Budget& budget) {
  const auto separator = arguments.text_or_none("sep");
  const std::string_view view = separator ? *separator : std::string_view();
  const auto most = arguments.integer_or("maxsplit", -1);
  const auto* at = separator ? &view : nullptr;
  return texts(name == "split" ? split(text, at, most) : rsplit(text, at, most), budget);
}

/// startswith and endswith: of one text, or one of several.
Value bounded_by(const std::string& text, const std::string& name, Arguments& arguments) {
  const auto what = arguments.required("prefix");
  const auto fits = [&](const Value& part) {
    if (!part.is_string()) throw Fault{name + " of " + part.kind(), "a text or a tuple of texts", ""};
    return name == "startswith" ? text.starts_with(part.string()) : text.ends_with(part.string());
  };
  if (!what.list() || what.list()->form != List::Form::kTuple) return fits(what);
  return std::any_of(what.list()->items.begin(), what.list()->items.end(), fits);
}

Value found_in(const std::string& text, const std::string& name, Arguments& arguments) {
  const auto part = arguments.text("sub");
  if (name == "count") {
    std::int64_t count = 0;
    if (part.empty()) return count_characters(text) + 1;
    for (auto at = text.find(part); at != text.npos; at = text.find(part, at + part.size())) ++count;
    return count;
  }
  const auto at = name == "rfind" ? text.rfind(part) : text.find(part);
  if (at == text.npos && name == "index") throw Fault{"index of a text that is not there", "one that is", ""};
  return at == text.npos ? std::int64_t{-1} : count_characters(std::string_view(text).substr(0, at));
}

Value joined(const std::string& separator, Arguments& arguments, Budget& budget) {
  std::string out;
  bool first = true;
  for (const auto& item : items_of(arguments.required("parts"), budget)) {
    if (!item.is_string()) throw Fault{std::string("join of ") + item.kind(), "texts", ""};
    budget.make(separator.size() + item.string().size());
    if (!first) out += separator;
    first = false;
    out += item.string();
  }
  return out;
}

/// isdigit and its kin, of ASCII alone.
Value made_of(const std::string& text, const std::string& name) {
  if (name == "isspace") return !text.empty() && lstrip(text).empty();
  if (name == "isupper") return upper(text) == text && lower(text) != text;
  if (name == "islower") return lower(text) == text && upper(text) != text;
  if (std::any_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) > 0x7f; }))
    throw Fault{name + " of a text that is not ASCII", "what herd knows of Jinja (docs/chat-templates.md)", ""};
  return !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
    const bool digit = c >= '0' && c <= '9', letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    return name == "isdigit" ? digit : name == "isalpha" ? letter : digit || letter;
  });
}

Value of_text(Context& context, const std::string& text, const std::string& name, Arguments& arguments) {
  context.budget.make(text.size());
  if (name == "strip" || name == "lstrip" || name == "rstrip") return stripped(text, name, arguments);
  if (name == "split" || name == "rsplit") return split_at(text, name, arguments, context.budget);
  if (name == "splitlines") return texts(split_lines(text, arguments.truth_or("keepends", false)), context.budget);
  if (name == "startswith" || name == "endswith") return bounded_by(text, name, arguments);
  if (name == "upper") return upper(text);
  if (name == "lower") return lower(text);
  if (name == "title") return title(text);
  if (name == "capitalize") return capitalize(text);
  if (name == "find" || name == "rfind" || name == "index" || name == "count") return found_in(text, name, arguments);
  if (name == "join") return joined(text, arguments, context.budget);
  if (name == "replace") {
    const auto from = arguments.text("old"), to = arguments.text("new");
    return replace(text, from, to, arguments.integer_or("count", -1), context.budget);
  }
  if (name == "removeprefix" || name == "removesuffix") {
    const auto part = arguments.text("part");
    const std::string_view view(text);
    if (name == "removeprefix") return view.substr(view.starts_with(part) ? part.size() : 0);
    return view.substr(0, view.size() - (view.ends_with(part) ? part.size() : 0));
  }
  if (name.starts_with("is") && has(std::array{"isdigit", "isspace", "isupper", "islower", "isalpha", "isalnum"}, name)) return made_of(text, name);
  throw Fault{"the method ." + name + "() of a text", "what herd knows of Jinja (docs/chat-templates.md)", ""};
}

Value of_dict(Context& context, const Value& object, const std::string& name, Arguments& arguments) {
  const auto& dict = *object.dict();
  context.budget.make(dict.entries.size() * sizeof(Value));
  if (name == "get") {
    const auto key = arguments.required("key");
    const auto otherwise = arguments.take_next();
    const auto* found = dict.find(key);
    return found ? *found : otherwise ? *otherwise : Value(nullptr);
  }
  if (name == "copy") return object;
  Values out;
  for (const auto& [key, value] : dict.entries) out.push_back(name == "keys" ? key : name == "values" ? value : make_list({key, value}, List::Form::kTuple));
  return make_list(std::move(out), List::Form::kView);
}

Value of_list(Context& context, const Value& object, const std::string& name, Arguments& arguments) {
  if (name == "copy") return object;
  const auto value = arguments.required("value");
  const auto& items = object.list()->items;
  const auto same = [&](const Value& item) { return equal(item, value, context.budget); };
  if (name == "count") return static_cast<std::int64_t>(std::count_if(items.begin(), items.end(), same));
  const auto found = std::find_if(items.begin(), items.end(), same);
  if (found == items.end()) throw Fault{"index of what is not in the list", "what is", ""};
  return static_cast<std::int64_t>(found - items.begin());
}

Value cycled(const Loop& loop, Arguments& arguments) {
  Values values;
  while (auto value = arguments.take_next()) values.push_back(std::move(*value));
  if (values.empty()) throw Fault{"loop.cycle of nothing", "values", ""};
  return values[loop.index0 % values.size()];
}

}  // namespace

bool is_method(const Value& object, std::string_view name) {
  if (object.is_string()) return has(kOfTexts, name);
  if (object.dict()) return has(kOfDicts, name);
  if (const auto* list = object.list())
    return has(kOfLists, name) && (list->form == List::Form::kList || (list->form == List::Form::kTuple && name != "copy"));
  return object.loop() && name == "cycle";
}

Value call_method(Context& context, const Value& object, const std::string& name, Arguments arguments) {
  auto out = object.is_string() ? of_text(context, object.string(), name, arguments)
             : object.dict()    ? of_dict(context, object, name, arguments)
             : object.list()    ? of_list(context, object, name, arguments)
                                : cycled(*object.loop(), arguments);
  arguments.done();
  return out;
}

}  // namespace herd::jinja
