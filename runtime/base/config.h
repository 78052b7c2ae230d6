#pragma once
// The strict YAML schema: a section of a config is a plain struct with defaults, and one function beside it that describes its
// fields. Reading, checking, printing and `herd config --explain` all come from that description:
//
//   void describe(Schema& s, PeftOptions& o) {
//     s.field("r", o.r, "rank of the update").range(1, 4096);
//     s.choice("bias", o.bias, {{"none", Bias::kNone}, {"all", Bias::kAll}}, "which biases are trained");
//   }
#include <deque>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "runtime/base/config_files.h"
#include "runtime/base/config_node.h"
#include "runtime/base/config_value.h"
#include "runtime/base/error.h"

namespace herd {

/// What `validate()` of a section throws: a ConfigError that knows its key (relative to the section), so that the schema can say
/// where the value stands: `recipes/a.yaml:3:9: 'train.micro_batch_size' is 8; expected …`. `found` is the value.
class InvalidSetting : public ConfigError {
 public:
  InvalidSetting(const std::string& key, const std::string& found, const std::string& expected, const std::string& remedy = "")
      : ConfigError({.who = key, .found = found, .expected = expected, .remedy = remedy}), key_(key) {}
  const std::string& key() const { return key_; }

 private:
  std::string key_;
};

/// The numbers that a field admits.
struct Limits {
  double low = -std::numeric_limits<double>::infinity(), high = std::numeric_limits<double>::infinity();
  bool low_open = false, high_open = false;

  bool admit(double value) const { return (low_open ? value > low : value >= low) && (high_open ? value < high : value <= high); }
  /// `from 1 to 4096`, `above 0`, `at least 0 and below 1`; empty without limits.
  std::string text() const;
};

class Schema;

/// One key of a section: what it is called, means and admits, and how it is read and written.
struct Field {
  std::string name, doc;
  std::string type;                        ///< `a whole number`
  std::string unset;                       ///< the default, as it would be written
  Limits limits;
  std::vector<std::string> allowed;        ///< empty: any
  std::vector<std::string> elsewhere;      ///< other tools' names for it, to suggest this one
  Origin origin;                           ///< of the present value
  std::function<const ConfigNode*(const ConfigNode&, const Field&)> read;
  std::function<ConfigNode()> write;

  // Of a section, or of a list of sections only:
  std::shared_ptr<Schema> children;        ///< the fields; of a list, those of an item
  bool is_list = false, may_be_null = false;
  std::function<void(const ConfigNode&, const std::string& path, const Schema& root)> read_section;

  Field& range(double low, double high) { return at_least(low).at_most(high); }
  Field& at_least(double low) { return limits.low = low, *this; }
  Field& at_most(double high) { return limits.high = high, *this; }
  Field& above(double low) { return limits.low = low, limits.low_open = true, *this; }
  Field& below(double high) { return limits.high = high, limits.high_open = true, *this; }
  Field& one_of(std::vector<std::string> names) { return allowed = std::move(names), *this; }
  Field& known_as(std::vector<std::string> names) { return elsewhere = std::move(names), *this; }

  bool allows(const std::string& text) const;
  /// `a whole number from 1 to 4096`, `one of fp32, bf16`.
  std::string expectation() const;
};

/// The description of a section, bound to one instance of its struct, which must outlive it and stay where it is.
class Schema {
 public:
  /// A value: bool, int64, double, string, Every, OneOrMany, and std::optional or std::vector of these.
  template <class V>
  Field& field(std::string name, V& target, std::string doc);
  /// One of an enum's values, by name.
  template <class E>
  Field& choice(std::string name, E& target, std::vector<std::pair<std::string, E>> values, std::string doc);
  /// A nested section, described by `describe(Schema&, T&)`; its `validate()`, if any, is called once it is read.
  template <class T>
  Field& section(std::string name, T& target, std::string doc);
  /// A section that may be absent (null).
  template <class T>
  Field& optional_section(std::string name, std::optional<T>& target, std::string doc);
  /// A list whose items are sections; an item that is a single value stands for `{shorthand: value}`.
  template <class T>
  Field& list(std::string name, std::vector<T>& target, std::string shorthand, std::string doc);
  /// A short form on the command line: `resume=auto` for `checkpoint.resume=auto`.
  void alias(const std::string& name, const std::string& key) { aliases_[name] = key; }

  /// Reads `tree` into the bound struct, then checks it. @throws ConfigError with the place of the first key or value that does not fit.
  void load(const ConfigNode& tree) { load(tree, "", *this); }
  /// The present values, each with its origin.
  ConfigNode store() const;

  const std::map<std::string, std::string>& aliases() const { return aliases_; }
  /// Every field and section, in order, with its path (`model.config.hidden_size`).
  void visit(const std::function<void(const std::string& path, const Field&)>& see) const { visit("", see); }
  /// Type, default, range and documentation of a key or a section, or of all for "". @throws ConfigError with a suggestion.
  std::string explain(const std::string& path) const;
  /// Called at the end of load(); what it throws gets its place.
  void check_with(std::function<void()> check) { check_ = std::move(check); }

 private:
  Field& add(std::string name, std::string doc, std::string type);
  Field* find_here(std::string_view name);
  void load(const ConfigNode& tree, const std::string& path, const Schema& root);
  void visit(const std::string& path, const std::function<void(const std::string&, const Field&)>& see) const;
  ConfigNode store_brief(const std::string& shorthand) const;
  ConfigError unknown(const ConfigNode& entry, const std::string& path, const Schema& root) const;
  ConfigError misplaced(const InvalidSetting& problem, const std::string& path) const;

  std::deque<Field> fields_;  // a deque: the references that field() returns stay good
  std::map<std::string, std::string> aliases_;
  std::function<void()> check_;
};

/// `item` itself, or `{shorthand: item}` where it is a single value.
ConfigNode expand_shorthand(const ConfigNode& item, const std::string& shorthand);

/// Reads a recipe with its includes and overrides into `target`, which holds the defaults, and checks it.
/// @return every value with its origin; to_yaml of it loads back equal.
template <class T>
ConfigNode load_config(T& target, const ConfigSources& sources);

}  // namespace herd

#include "runtime/base/config_schema.h"
