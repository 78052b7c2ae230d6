#include "runtime/base/config.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "runtime/base/text.h"

namespace herd {
namespace {

std::string below(const std::string& path, const std::string& name) { return path.empty() ? name : path + "." + name; }

std::string leaf(const std::string& path) { return path.substr(path.rfind('.') + 1); }

std::string section_of(const std::string& path) {
  const auto dot = path.rfind('.');
  return dot == std::string::npos ? "" : path.substr(0, dot);
}

std::string hint(const std::string& path) { return path.empty() ? "(herd config --explain)" : "(herd config --explain " + path + ")"; }

std::string shown(const ConfigNode& node) {
  if (node.is_null()) return "empty";
  if (node.is_map()) return "a mapping";
  if (node.is_list()) return "a list";
  return node.quoted ? "the string \"" + node.text + "\"" : "'" + node.text + "'";
}

ConfigError misfit_error(const ConfigNode& misfit, const ConfigNode& whole, const std::string& path, const Field& field) {
  const auto close = misfit.is_scalar() ? nearest(misfit.text, field.allowed) : "";
  return ConfigError({.who = misfit.origin.place(),
                      .found = fmt::format("'{}' {} {}", path, &misfit == &whole ? "is" : "holds", shown(misfit)),
                      .expected = field.expectation(),
                      .remedy = (close.empty() ? "" : "did you mean '" + close + "'?  ") + hint(path)});
}

// The known key that `path` was probably meant to be: the same name in another section, a slip of the pen beside it, then one anywhere.
std::string suggest_key(const std::string& path, const Schema& root) {
  const auto name = leaf(path);
  std::vector<std::string> names, paths, near_names, near_paths;
  root.visit([&](const std::string& known, const Field& field) {
    auto spellings = field.elsewhere;
    spellings.insert(spellings.begin(), field.name);
    for (const auto& spelling : spellings) {
      names.push_back(spelling);
      paths.push_back(known);
      if (section_of(known) != section_of(path)) continue;
      near_names.push_back(spelling);
      near_paths.push_back(known);
    }
  });
  const auto path_of = [](const std::string& found, const auto& all, const auto& where) {
    return where[static_cast<std::size_t>(std::find(all.begin(), all.end(), found) - all.begin())];
  };
  if (std::find(near_names.begin(), near_names.end(), name) != near_names.end()) return path_of(name, near_names, near_paths);
  if (std::find(names.begin(), names.end(), name) != names.end()) return path_of(name, names, paths);
  if (const auto close = nearest(name, near_names); !close.empty()) return path_of(close, near_names, near_paths);
  if (const auto close = nearest(name, names); !close.empty()) return path_of(close, names, paths);
  return "";
}

}  // namespace

std::string Limits::text() const {
  const bool has_low = std::isfinite(low), has_high = std::isfinite(high);
  if (has_low && has_high && !low_open && !high_open) return fmt::format("from {} to {}", low, high);
  std::vector<std::string> parts;
  if (has_low) parts.push_back(fmt::format("{} {}", low_open ? "above" : "at least", low));
  if (has_high) parts.push_back(fmt::format("{} {}", high_open ? "below" : "at most", high));
  return join(parts, " and ");
}

bool Field::allows(const std::string& text) const {
  return allowed.empty() || std::find(allowed.begin(), allowed.end(), text) != allowed.end();
}

std::string Field::expectation() const {
  if (!allowed.empty()) return (type == ValueName<std::string>::get() ? "" : type + ": ") + "one of " + join(allowed);
  const auto bounds = limits.text();
  return bounds.empty() ? type : type + ", " + bounds;
}

ConfigNode expand_shorthand(const ConfigNode& item, const std::string& shorthand) {
  if (!item.is_scalar()) return item;
  auto map = ConfigNode::map();
  map.origin = item.origin;
  map.items.push_back(item);
  map.items.back().key = shorthand;
  map.items.back().key_origin = item.origin;
  return map;
}

Field& Schema::add(std::string name, std::string doc, std::string type) {
  auto& field = fields_.emplace_back();
  field.name = std::move(name);
  field.doc = std::move(doc);
  field.type = std::move(type);
  return field;
}

Field* Schema::find_here(std::string_view name) {
  const auto found = std::find_if(fields_.begin(), fields_.end(), [&](const Field& field) { return field.name == name; });
  return found == fields_.end() ? nullptr : &*found;
}

void Schema::load(const ConfigNode& tree, const std::string& path, const Schema& root) {
  if (!tree.is_map()) {
    throw ConfigError({.who = tree.origin.place(),
                       .found = fmt::format("'{}' is {}", path, shown(tree)),
                       .expected = "a mapping of keys to values",
                       .remedy = hint(path)});
  }
  for (const auto& entry : tree.items) {
    auto* field = find_here(entry.key);
    if (!field) throw unknown(entry, path, root);
    const auto key = below(path, entry.key);
    if (field->read_section) {
      const bool one = entry.is_map() || (entry.is_scalar() && !entry.text.empty());  // stands for a list of one
      const bool fits = field->is_list ? entry.is_list() || one : entry.is_map() || (entry.is_null() && field->may_be_null);
      if (!fits) throw misfit_error(entry, entry, key, *field);
      field->read_section(entry, key, root);
    } else if (const auto* misfit = field->read(entry, *field)) {
      throw misfit_error(*misfit, entry, key, *field);
    }
    field->origin = entry.origin;
  }
  if (!check_) return;
  try {
    check_();
  } catch (const InvalidSetting& problem) {
    throw misplaced(problem, path);
  }
}

ConfigError Schema::unknown(const ConfigNode& entry, const std::string& path, const Schema& root) const {
  const auto key = below(path, entry.key);
  const auto close = suggest_key(key, root);
  std::vector<std::string> known;
  for (const auto& field : fields_) known.push_back(field.name);
  return ConfigError(
      {.who = entry.key_origin.place(),
       .found = "unknown key '" + key + "'",
       .expected = "",
       .remedy = close.empty() ? "known here: " + join(known) + "  " + hint(path) : "did you mean '" + close + "'?  " + hint(close)});
}

ConfigError Schema::misplaced(const InvalidSetting& problem, const std::string& path) const {
  const auto& complaint = problem.complaint();
  const auto key = below(path, problem.key());
  const auto tree = store();
  const auto* node = tree.at_path(problem.key());
  return ConfigError({.who = node ? node->origin.place() : "config",
                      .found = fmt::format("'{}' is {}", key, complaint.found),
                      .expected = complaint.expected,
                      .remedy = complaint.remedy.empty() ? hint(key) : complaint.remedy});
}

ConfigNode Schema::store() const {
  auto map = ConfigNode::map();
  for (const auto& field : fields_) {
    auto node = field.write();
    node.key = field.name;
    node.origin = field.origin;
    map.items.push_back(std::move(node));
  }
  return map;
}

ConfigNode Schema::store_brief(const std::string& shorthand) const {
  auto map = store();
  std::erase_if(map.items, [&](const ConfigNode& item) {
    const auto field = std::find_if(fields_.begin(), fields_.end(), [&](const Field& f) { return f.name == item.key; });
    return item.key != shorthand && to_flow(item) == field->unset;
  });
  return map.items.size() == 1 ? map.items.front() : map;
}

void Schema::visit(const std::string& path, const std::function<void(const std::string&, const Field&)>& see) const {
  for (const auto& field : fields_) {
    const auto key = below(path, field.name);
    see(key, field);
    if (field.children) field.children->visit(key, see);
  }
}

std::string Schema::explain(const std::string& path) const {
  const auto alias = aliases_.find(path);
  const auto& key = alias == aliases_.end() ? path : alias->second;
  std::string out;
  std::size_t width = 0;
  visit([&](const std::string& known, const Field&) {
    if (section_of(known) == key) width = std::max(width, known.size());
  });
  visit([&](const std::string& known, const Field& field) {
    if (known == key) {
      out += fmt::format("{}: {}\n  type     {}\n", key, field.doc, field.expectation());
      if (!field.children || field.is_list || field.may_be_null) out += fmt::format("  default  {}\n", field.unset);
      for (const auto& [brief, full] : aliases_)
        if (full == key) out += fmt::format("  short    {}=… on the command line\n", brief);
      if (field.children) out += "\n";
    } else if (section_of(known) == key) {
      const auto what = !field.children ? "default " + field.unset : field.is_list ? "list" : "section";
      out += fmt::format("  {:<{}}  {}  ({})\n", known, width, field.doc, what);
    }
  });
  if (!out.empty()) return out;
  const auto close = suggest_key(path, *this);
  throw ConfigError({.who = "command line",
                     .found = "unknown key '" + path + "'",
                     .expected = "",
                     .remedy = close.empty() ? hint("") + " lists all" : "did you mean '" + close + "'?  " + hint(close)});
}

}  // namespace herd
