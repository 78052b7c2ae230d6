#include "runtime/base/config_node.h"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <fstream>
#include <iterator>

#include "runtime/base/error.h"

namespace herd {
namespace {

constexpr int kDeepest = 64;           // a document nested deeper is an alias that holds itself
constexpr std::size_t kMost = 100000;  // more values are aliases of aliases of aliases

// Turns yaml-cpp's nodes into ours; one instance a document.
class Reader {
 public:
  Reader(const Origin& place, bool with_lines) : place_(place), with_lines_(with_lines) {}

  ConfigNode read(const YAML::Node& yaml, const Origin& fallback, int depth) {
    ConfigNode node;
    node.origin = yaml.IsNull() ? fallback : at(yaml.Mark());  // yaml-cpp gives an empty value the mark of what follows
    if (depth > kDeepest || ++count_ > kMost) {
      throw ConfigError({.who = node.origin.place(),
                         .found = "YAML nested or repeated without end",
                         .expected = "aliases that do not hold themselves",
                         .remedy = ""});
    }
    switch (yaml.Type()) {
      case YAML::NodeType::Scalar:
        node.kind = ConfigNode::Kind::kScalar;
        node.text = yaml.Scalar();
        node.quoted = yaml.Tag() != "?" && !yaml.Tag().empty();
        break;
      case YAML::NodeType::Sequence:
        node.kind = ConfigNode::Kind::kList;
        for (const auto& item : yaml) node.items.push_back(read(item, node.origin, depth + 1));
        break;
      case YAML::NodeType::Map: return read_map(yaml, node.origin, depth);
      default: break;
    }
    return node;
  }

  Origin at(const YAML::Mark& mark) const {
    Origin origin = place_;
    if (with_lines_ && !mark.is_null()) {
      origin.line = mark.line + 1;
      origin.column = mark.column + 1;
    }
    return origin;
  }

 private:
  ConfigNode read_map(const YAML::Node& yaml, const Origin& origin, int depth) {
    auto own = ConfigNode::map();
    auto merged = ConfigNode::map();
    own.origin = origin;
    for (const auto& pair : yaml) {
      const auto key_origin = at(pair.first.Mark());
      if (!pair.first.IsScalar())
        throw ConfigError(
            {.who = key_origin.place(), .found = "a key that is a list, a mapping or empty", .expected = "a name", .remedy = ""});
      const auto& key = pair.first.Scalar();
      auto value = read(pair.second, key_origin, depth + 1);
      if (key == "<<") {
        lay_under(merged, std::move(value));
        continue;
      }
      if (const auto* first = own.find(key)) {
        throw ConfigError({.who = key_origin.place(),
                           .found = "the key '" + key + "' is given twice",
                           .expected = "",
                           .remedy = "the first one stands at " + first->key_origin.place()});
      }
      value.key = key;
      value.key_origin = key_origin;
      own.items.push_back(std::move(value));
    }
    if (merged.items.empty()) return own;
    merge_config(merged, std::move(own));
    return merged;
  }

  // YAML's merge key takes a mapping or a list of them, of which the earlier wins.
  static void lay_under(ConfigNode& merged, ConfigNode value) {
    if (value.is_list()) {
      for (auto& item : value.items) lay_under(merged, std::move(item));
      return;
    }
    if (!value.is_map())
      throw ConfigError({.who = value.origin.place(),
                         .found = "'<<' with " + to_flow(value),
                         .expected = "a mapping or a list of mappings",
                         .remedy = ""});
    merge_config(value, std::move(merged));
    merged = std::move(value);
  }

  Origin place_;
  bool with_lines_;
  std::size_t count_ = 0;
};

}  // namespace

std::string Origin::place() const { return line > 0 ? fmt::format("{}:{}:{}", source, line, column) : source; }

std::string Origin::brief() const {
  if (include.empty()) return place();
  return line > 0 ? fmt::format("include {}:{}:{}", include, line, column) : "include " + include;
}

ConfigNode ConfigNode::of(Kind kind) {
  ConfigNode node;
  node.kind = kind;
  return node;
}

ConfigNode ConfigNode::scalar(std::string text, bool quoted) {
  auto node = of(Kind::kScalar);
  node.text = std::move(text);
  node.quoted = quoted;
  return node;
}

const ConfigNode* ConfigNode::find(std::string_view name) const {
  if (!is_map()) return nullptr;
  for (const auto& item : items)
    if (item.key == name) return &item;
  return nullptr;
}

const ConfigNode* ConfigNode::at_path(std::string_view path) const {
  const auto* node = this;
  while (node && !path.empty()) {
    const auto dot = path.find('.');
    node = node->find(path.substr(0, dot));
    path = dot == std::string_view::npos ? "" : path.substr(dot + 1);
  }
  return node;
}

ConfigNode parse_yaml(const std::string& text, const Origin& place, bool with_lines) {
  Reader reader(place, with_lines);
  try {
    const auto documents = YAML::LoadAll(text);
    if (documents.size() > 1) {
      throw ConfigError({.who = reader.at(documents[1].Mark()).place(),
                         .found = "a second YAML document",
                         .expected = "one document a file",
                         .remedy = ""});
    }
    ConfigNode empty;
    empty.origin = place;
    return documents.empty() ? empty : reader.read(documents.front(), place, 0);
  } catch (const YAML::Exception& e) {
    throw ConfigError({.who = reader.at(e.mark).place(), .found = "broken YAML: " + e.msg, .expected = "", .remedy = ""});
  }
}

ConfigNode read_yaml(const std::filesystem::path& file, const std::string& include) {
  std::ifstream in(file);
  if (!std::filesystem::is_regular_file(file) || !in) {  // a folder opens too, and throws only when it is read
    throw ConfigError({.who = file.string(),
                       .found = std::filesystem::exists(file) ? "not a readable file" : "no such file",
                       .expected = "a YAML recipe"});
  }
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  return parse_yaml(text, Origin{.source = file.string(), .include = include});
}

void merge_config(ConfigNode& base, ConfigNode over) {
  if (!base.is_map() || !over.is_map()) {
    base = std::move(over);
    return;
  }
  for (auto& item : over.items) {
    auto* known = const_cast<ConfigNode*>(base.find(item.key));
    if (!known) {
      base.items.push_back(std::move(item));
    } else {
      known->key_origin = item.key_origin;
      merge_config(*known, std::move(item));
    }
  }
}

}  // namespace herd
