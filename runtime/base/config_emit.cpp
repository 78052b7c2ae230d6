// Config nodes as YAML text, for `herd config` and the copy that every run keeps.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "runtime/base/config_node.h"

namespace herd {
namespace {

// Another reader (a Python script, say) must see a string where herd saw one.
bool reads_as_string(const std::string& text) {
  static constexpr std::string_view kWords[] = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"};
  std::string lower = text;
  std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return std::tolower(c); });
  if (std::find(std::begin(kWords), std::end(kWords), lower) != std::end(kWords)) return false;
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error != std::errc{} || end != text.data() + text.size();
}

bool is_plain(const std::string& text) {
  if (text.empty()) return false;
  auto harmless = [](unsigned char c) { return std::isalnum(c) || c == '_' || c == '.' || c == '/' || c >= 0x80; };
  auto inside = [&](unsigned char c) { return harmless(c) || c == '-' || c == '+'; };
  return harmless(static_cast<unsigned char>(text.front())) && std::all_of(text.begin(), text.end(), inside) && reads_as_string(text);
}

std::string quote(const std::string& text) {
  if (is_plain(text)) return text;
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += fmt::format("\\{}", c);
    else if (c == '\n') out += "\\n";
    else if (c == '\t') out += "\\t";
    else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    else out += c;
  }
  return out + '"';
}

struct Line {
  std::string text, comment;
};

bool wants_block(const ConfigNode& list) {
  return std::any_of(list.items.begin(), list.items.end(), [](const auto& item) { return item.is_map(); });
}

void write_map(const ConfigNode& map, int indent, std::vector<Line>& lines) {
  for (const auto& item : map.items) {
    const auto lead = fmt::format("{:{}}{}:", "", indent, quote(item.key));
    if (item.is_map() && !item.items.empty()) {
      lines.push_back({lead, ""});
      write_map(item, indent + 2, lines);
    } else if (item.is_list() && wants_block(item)) {
      lines.push_back({lead, item.origin.brief()});
      for (const auto& element : item.items) lines.push_back({fmt::format("{:{}}- {}", "", indent + 2, to_flow(element)), ""});
    } else {
      lines.push_back({lead + " " + to_flow(item), item.origin.brief()});
    }
  }
}

}  // namespace

std::string to_flow(const ConfigNode& node) {
  std::string out;
  switch (node.kind) {
    case ConfigNode::Kind::kNull: return "null";
    case ConfigNode::Kind::kScalar: return node.quoted ? quote(node.text) : node.text;
    case ConfigNode::Kind::kList:
      for (const auto& item : node.items) out += (out.empty() ? "" : ", ") + to_flow(item);
      return "[" + out + "]";
    case ConfigNode::Kind::kMap:
      for (const auto& item : node.items) out += (out.empty() ? "" : ", ") + quote(item.key) + ": " + to_flow(item);
      return "{" + out + "}";
  }
  return out;
}

std::string to_yaml(const ConfigNode& node, bool origins) {
  std::vector<Line> lines;
  if (node.is_map()) write_map(node, 0, lines);
  else lines.push_back({to_flow(node), node.origin.brief()});
  constexpr std::size_t kFarthest = 60;  // a comment after a longer line just follows it
  std::size_t column = 0;
  for (const auto& line : lines) column = std::max(column, std::min(line.text.size(), kFarthest));
  std::string out;
  for (const auto& line : lines) {
    out += line.text;
    if (origins && !line.comment.empty())
      out += fmt::format("{:{}}# {}", "", column - std::min(column, line.text.size()) + 2, line.comment);
    out += '\n';
  }
  return out;
}

}  // namespace herd
