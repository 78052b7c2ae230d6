#pragma once
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace herd {

/// Where a value of a config came from.
struct Origin {
  std::string source = "default";  ///< `default`, `command line`, or a file's path
  std::string include{};           ///< the name under which a recipe included the file; empty for the recipe itself
  int line = 0, column = 0;        ///< from 1; 0 where there is none

  /// For errors: `recipes/a.yaml:14:5`, `command line`.
  std::string place() const;
  /// For the comments of `herd config`: as place(), files of includes by their name: `include models/llama:3:4`.
  std::string brief() const;
};

/// A YAML value: what a config file or an override says, each part with its place.
struct ConfigNode {
  enum class Kind { kNull, kScalar, kList, kMap };

  Kind kind = Kind::kNull;
  std::string text;               ///< of a scalar
  bool quoted = false;            ///< a scalar that can only be a string
  std::string key;                ///< of a mapping's entry
  std::vector<ConfigNode> items;  ///< of a list; of a mapping, its entries in order
  Origin origin, key_origin;

  bool is_null() const { return kind == Kind::kNull; }
  bool is_scalar() const { return kind == Kind::kScalar; }
  bool is_list() const { return kind == Kind::kList; }
  bool is_map() const { return kind == Kind::kMap; }
  /// The entry `name` of a mapping, or null.
  const ConfigNode* find(std::string_view name) const;
  /// The entry at `a.b.c`, or null.
  const ConfigNode* at_path(std::string_view path) const;

  static ConfigNode scalar(std::string text, bool quoted = false);
  static ConfigNode list() { return of(Kind::kList); }
  static ConfigNode map() { return of(Kind::kMap); }

 private:
  static ConfigNode of(Kind kind);
};

/// Parses one YAML document (1.2, anchors and `<<` merges included). `place` gives the source and include of every origin;
/// `with_lines` says whether lines and columns mean anything to the reader (not so for an override).
/// @throws ConfigError with line and column: broken YAML, a key given twice, a key that is no scalar, several documents.
ConfigNode parse_yaml(const std::string& text, const Origin& place, bool with_lines = true);

/// Reads a YAML file. @throws ConfigError, also where it cannot be read.
ConfigNode read_yaml(const std::filesystem::path& file, const std::string& include = "");

/// `over` laid on `base`: mappings merge key by key, all else is replaced.
void merge_config(ConfigNode& base, ConfigNode over);

/// YAML that loads back equal. With `origins`, every value is followed by a comment that says where it came from.
std::string to_yaml(const ConfigNode& node, bool origins);

/// One value on one line: `[a, {b: 1}]`.
std::string to_flow(const ConfigNode& node);

}  // namespace herd
