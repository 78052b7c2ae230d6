#pragma once
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/base/error.h"
#include "runtime/base/text.h"

namespace herd {

/// An explicit, ordered table of named entries: the one way herd registers families, methods, templates and backends.
/// Self-registering statics would vanish from static libraries; a table is read in one place and enumerated by the contract tests.
template <class Entry>
class Table {
 public:
  Table(std::string kind, std::vector<std::pair<std::string, Entry>> rows) : kind_(std::move(kind)), rows_(std::move(rows)) {}

  const Entry* find(std::string_view name) const {
    for (const auto& [key, entry] : rows_)
      if (key == name) return &entry;
    return nullptr;
  }

  /// @throws ConfigError naming the table, the name, the known names and the nearest one.
  const Entry& at(std::string_view name) const {
    if (const auto* entry = find(name)) return *entry;
    const auto known = names();
    const auto close = nearest(name, known);
    throw ConfigError({.who = kind_ + " '" + std::string(name) + "'",
                       .found = "no such " + kind_,
                       .expected = "one of " + join(known),
                       .remedy = close.empty() ? "" : "did you mean '" + close + "'?"});
  }

  std::vector<std::string> names() const {
    std::vector<std::string> out;
    for (const auto& row : rows_) out.push_back(row.first);
    return out;
  }

  auto begin() const { return rows_.begin(); }
  auto end() const { return rows_.end(); }

 private:
  std::string kind_;
  std::vector<std::pair<std::string, Entry>> rows_;
};

}  // namespace herd
