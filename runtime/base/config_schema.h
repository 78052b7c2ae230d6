#pragma once
// The template half of config.h; include that.
#include "runtime/base/config.h"

namespace herd {

template <class T>
void validate_section(const T& value) {
  if constexpr (requires { value.validate(); }) value.validate();
}

template <class V>
Field& Schema::field(std::string name, V& target, std::string doc) {
  auto& field = add(std::move(name), std::move(doc), ValueName<V>::get());
  field.read = [&target](const ConfigNode& node, const Field& self) { return read_value(node, target, self); };
  field.write = [&target] { return write_value(target); };
  field.unset = to_flow(field.write());
  return field;
}

template <class E>
Field& Schema::choice(std::string name, E& target, std::vector<std::pair<std::string, E>> values, std::string doc) {
  auto& field = add(std::move(name), std::move(doc), ValueName<std::string>::get());
  for (const auto& [text, value] : values) field.allowed.push_back(text);
  field.read = [&target, values](const ConfigNode& node, const Field&) -> const ConfigNode* {
    for (const auto& [text, value] : values) {
      if (!node.is_scalar() || node.text != text) continue;
      target = value;
      return nullptr;
    }
    return &node;
  };
  field.write = [&target, values] {
    for (const auto& [text, value] : values)
      if (value == target) return write_value(text);
    return ConfigNode{};
  };
  field.unset = to_flow(field.write());
  return field;
}

template <class T>
Field& Schema::section(std::string name, T& target, std::string doc) {
  auto& field = add(std::move(name), std::move(doc), "a section");
  field.children = std::make_shared<Schema>();
  describe(*field.children, target);
  auto* children = field.children.get();
  field.read_section = [children](const ConfigNode& node, const std::string& path, const Schema& root) {
    children->load(node, path, root);
  };
  field.write = [children] { return children->store(); };
  children->check_with([&target] { validate_section(target); });
  return field;
}

template <class T>
Field& Schema::optional_section(std::string name, std::optional<T>& target, std::string doc) {
  auto& field = add(std::move(name), std::move(doc), "a section or null");
  auto held = std::make_shared<T>();  // what the children are bound to while there is no value
  field.children = std::make_shared<Schema>();
  describe(*field.children, *held);
  auto* children = field.children.get();
  children->check_with([held] { validate_section(*held); });
  field.read_section = [&target, held, children](const ConfigNode& node, const std::string& path, const Schema& root) {
    target.reset();
    if (node.is_null()) return;
    children->load(node, path, root);
    target = *held;
  };
  field.write = [&target, held, children] {
    if (!target) return ConfigNode{};
    *held = *target;
    return children->store();
  };
  field.may_be_null = true;
  field.unset = target ? "a section" : "null";
  return field;
}

template <class T>
Field& Schema::list(std::string name, std::vector<T>& target, std::string shorthand, std::string doc) {
  auto& field = add(std::move(name), std::move(doc), "a list (one item needs no brackets), each a section or the value of its '" + shorthand + "'");
  auto held = std::make_shared<T>();
  field.children = std::make_shared<Schema>();
  describe(*field.children, *held);
  auto* children = field.children.get();
  children->check_with([held] { validate_section(*held); });
  field.read_section = [&target, held, children, shorthand](const ConfigNode& node, const std::string& path, const Schema& root) {
    target.clear();
    const auto read = [&](const ConfigNode& item) {
      *held = T{};
      children->load(expand_shorthand(item, shorthand), path, root);
      target.push_back(*held);
    };
    if (!node.is_list()) read(node);
    for (const auto& item : node.items)
      if (node.is_list()) read(item);
    *held = T{};
  };
  field.write = [&target, held, children, shorthand] {
    auto node = ConfigNode::list();
    for (const auto& item : target) {
      *held = item;
      node.items.push_back(children->store_brief(shorthand));
    }
    *held = T{};
    return node;
  };
  field.is_list = true;
  field.unset = to_flow(field.write());
  return field;
}

template <class T>
ConfigNode load_config(T& target, const ConfigSources& sources) {
  Schema schema;
  describe(schema, target);
  schema.check_with([&target] { validate_section(target); });
  schema.load(gather_config(sources, schema.aliases()));
  return schema.store();
}

}  // namespace herd
