#pragma once
#include <functional>
#include <string>

#include "data/tokenizer/json_node.h"

namespace herd {

/// Text in, text out: UTF-8 both. Thread-safe.
using Normalizer = std::function<std::string(std::string)>;

/// `normalizer` of a tokenizer.json; null gives the identity.
/// @throws DataError naming a type that is not known and those that are.
Normalizer make_normalizer(const JsonNode& node);

/// `pattern` of a tokenizer.json, {"String": …} or {"Regex": …}: the byte ranges of its matches.
using Finder = std::function<std::vector<std::pair<std::size_t, std::size_t>>(std::string_view)>;
Finder make_finder(const JsonNode& pattern);

/// `type` of `node` is looked up in `table`. @throws DataError naming the types that are known.
template <class Table>
const auto& entry_of(const JsonNode& node, const Table& table) {
  const auto type = node.at("type").text();
  if (const auto* entry = table.find(type)) return *entry;
  std::string known;
  for (const auto& name : table.names()) known += (known.empty() ? "" : ", ") + name;
  node.complain("the type '" + type + "' is not supported", "one of " + known);
}

}  // namespace herd
