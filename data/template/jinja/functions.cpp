#include "data/template/jinja/functions.h"

#include <algorithm>
#include <array>

namespace herd::jinja {
namespace {

constexpr std::int64_t kMaxRange = 100'000;  // as jinja2's sandbox

Value range(Context& context, Arguments& arguments) {
  const auto first = arguments.required("start");
  const auto second = arguments.take_next(), third = arguments.take_next();
  arguments.done();
  for (const auto* each : {&first, second ? &*second : &first, third ? &*third : &first})
    if (!each->is_integral()) throw Fault{std::string("range of ") + each->kind(), "whole numbers", ""};
  const auto start = second ? first.integer() : 0, stop = second ? second->integer() : first.integer(), step = third ? third->integer() : 1;
  if (step == 0) throw Fault{"range with a step of 0", "another step", ""};
  Values items;
  for (auto at = static_cast<__int128>(start); step > 0 ? at < stop : at > stop; at += step) {
    if (static_cast<std::int64_t>(items.size()) >= kMaxRange) throw Fault{"a range of more than 100,000 numbers", "a shorter one", ""};
    items.emplace_back(static_cast<std::int64_t>(at));
  }
  context.budget.make(items.size() * sizeof(Value));
  return make_list(std::move(items), List::Form::kRange);
}

/// The first argument's entries, and the named ones.
std::vector<std::pair<Value, Value>> entries_of(Context& context, Arguments& arguments) {
  std::vector<std::pair<Value, Value>> out;
  if (const auto from = arguments.take_next()) {
    if (const auto* dict = from->dict()) {
      out = dict->entries;
    } else {
      for (const auto& pair : items_of(*from, context.budget)) {
        auto both = items_of(pair, context.budget);
        if (both.size() != 2) throw Fault{"a dictionary of what are no pairs", "pairs", ""};
        out.emplace_back(both[0], both[1]);
      }
    }
  }
  for (auto& [name, value] : arguments.take_all_named()) out.emplace_back(Value(name), std::move(value));
  arguments.done();
  context.budget.spend(out.size() * out.size());
  return out;
}

Value strftime_now(Context& context, Arguments& arguments) {
  const auto format = arguments.text("format");
  arguments.done();
  std::array<char, 512> out{};
  const auto size = std::strftime(out.data(), out.size(), format.c_str(), &context.now);
  return std::string(out.data(), size);
}

}  // namespace

std::optional<Value> Arguments::take_next() {
  if (at_ >= positional_.size()) return std::nullopt;
  return positional_[at_++];
}

std::optional<Value> Arguments::take_named(std::string_view name) {
  const auto found = std::find_if(named_.begin(), named_.end(), [&](const auto& each) { return each.first == name; });
  if (found == named_.end()) return std::nullopt;
  auto out = std::move(found->second);
  named_.erase(found);
  return out;
}

std::optional<Value> Arguments::take(std::string_view name) {
  auto out = take_next();
  return out ? out : take_named(name);
}

Value Arguments::required(std::string_view name) {
  auto out = take(name);
  if (!out) throw Fault{"a call without its argument '" + std::string(name) + "'", "one", ""};
  return std::move(*out);
}

std::string Arguments::text(std::string_view name) {
  const auto value = required(name);
  if (!value.is_string()) throw Fault{std::string(value.kind()) + " as '" + std::string(name) + "'", "a text", ""};
  return value.string();
}

std::optional<std::string> Arguments::text_or_none(std::string_view name) {
  const auto value = take(name);
  if (!value || value->is_none()) return std::nullopt;
  if (!value->is_string()) throw Fault{std::string(value->kind()) + " as '" + std::string(name) + "'", "a text", ""};
  return value->string();
}

std::int64_t Arguments::integer_or(std::string_view name, std::int64_t otherwise) {
  const auto value = take(name);
  if (!value) return otherwise;
  if (!value->is_integral()) throw Fault{std::string(value->kind()) + " as '" + std::string(name) + "'", "a whole number", ""};
  return value->integer();
}

bool Arguments::truth_or(std::string_view name, bool otherwise) {
  const auto value = take(name);
  return value ? value->truth() : otherwise;
}

void Arguments::done() const {
  if (at_ < positional_.size()) throw Fault{"a call with more arguments than herd knows of", "fewer", ""};
  if (!named_.empty()) throw Fault{"a call with the argument '" + named_[0].first + "'", "those that herd knows (docs/chat-templates.md)", ""};
}

bool is_function(std::string_view name) {
  constexpr std::array known{"range", "dict", "namespace", "raise_exception", "strftime_now"};
  return std::find(known.begin(), known.end(), name) != known.end();
}

Value call_function(Context& context, const std::string& name, Arguments arguments) {
  if (name == "range") return range(context, arguments);
  if (name == "dict") return make_dict(entries_of(context, arguments));
  if (name == "strftime_now") return strftime_now(context, arguments);
  if (name == "namespace") {
    context.budget.make(sizeof(Namespace) + 64);  // it lives as long as the run
    auto out = std::make_shared<Namespace>();
    for (auto& [key, value] : entries_of(context, arguments)) {
      if (!key.is_string()) throw Fault{"a namespace of what are no names", "names", ""};
      out->entries.emplace_back(key.string(), std::move(value));
    }
    return out;
  }
  const auto message = arguments.required("message");
  throw Fault{"the template refuses the conversation: " + str(message, context.budget), "a conversation of its form", "mend the record, or take another template"};
}

}  // namespace herd::jinja
