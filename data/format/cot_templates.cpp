#include "data/format/cot_templates.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "runtime/base/error.h"
#include "runtime/base/text.h"

namespace herd {
namespace {

constexpr std::string_view kCommon = "common";
const std::vector<std::string> kSlots{"question", "answer", "chain_of_thought"};

DataError mistake(const ConfigNode& node, std::string found, std::string expected, std::string remedy = "") {
  return DataError({.who = node.origin.place(), .found = std::move(found), .expected = std::move(expected), .remedy = std::move(remedy)});
}

std::string meant(std::string_view word, std::span<const std::string> known) {
  const auto close = nearest(word, known);
  return close.empty() ? "" : fmt::format("did you mean '{}'?", close);
}

const ConfigNode& text_of(const ConfigNode& node, std::string_view key) {
  const auto* found = node.find(key);
  if (!found || !found->is_scalar())
    throw mistake(found ? *found : node, fmt::format("no text '{}'", key), "a template: {instruction: …, output: …}");
  return *found;
}

CotTemplate read_template(const ConfigNode& node) {
  static const std::vector<std::string> keys{"instruction", "input", "output"};
  if (!node.is_map()) throw mistake(node, "no mapping", "a template: {instruction: …, output: …}");
  for (const auto& item : node.items)
    if (!std::ranges::count(keys, item.key))
      throw mistake(item, fmt::format("unknown key '{}'", item.key), "instruction and output", meant(item.key, keys));
  const bool as_input = node.find("input");
  if (as_input && node.find("instruction")) throw mistake(node, "both 'instruction' and 'input'", "one of the two");
  CotTemplate read{.instruction = SlotText(text_of(node, as_input ? "input" : "instruction")), .output = SlotText(text_of(node, "output"))};
  if (!read.output.has_slots())
    throw mistake(*node.find("output"), "an output without a slot, the same for every row", "{" + join(kSlots, "}, {") + "}");
  return read;
}

void read_list(const ConfigNode& list, std::vector<CotTemplate>& into) {
  if (!list.is_list()) throw mistake(list, "no list", "a list of templates, each {instruction: …, output: …}");
  for (const auto& item : list.items) into.push_back(read_template(item));
}

std::vector<std::string> sets_of(const ConfigNode& root) {
  std::vector<std::string> sets;
  if (!root.is_map()) return sets;
  for (const auto& item : root.items)
    if (item.key != kCommon) sets.push_back(item.key);
  return sets;
}

}  // namespace

SlotText::SlotText(const ConfigNode& node) {
  const auto& text = node.text;
  Part part;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '{' && text[i] != '}') {
      part.text += text[i];
      continue;
    }
    if (i + 1 < text.size() && text[i + 1] == text[i]) {
      part.text += text[i++];
      continue;
    }
    const auto end = text[i] == '{' ? text.find('}', i) : std::string::npos;
    if (end == std::string::npos)
      throw mistake(node, fmt::format("a '{}' without its partner", text[i]), "a slot such as {question}",
                    "a brace of its own is written twice");
    const auto name = text.substr(i + 1, end - i - 1);
    const auto slot = std::ranges::find(kSlots, name);
    if (slot == kSlots.end())
      throw mistake(node, fmt::format("unknown slot '{{{}}}'", name), "{" + join(kSlots, "}, {") + "}", meant(name, kSlots));
    part.slot = static_cast<int>(slot - kSlots.begin());
    parts_.push_back(std::exchange(part, {}));
    i = end;
  }
  parts_.push_back(std::move(part));
}

std::string SlotText::fill(const std::array<std::string_view, 3>& values) const {
  std::string text;
  for (const auto& part : parts_) {
    text += part.text;
    if (part.slot >= 0) text += values[static_cast<std::size_t>(part.slot)];
  }
  return text;
}

bool SlotText::has_slots() const {
  return std::ranges::any_of(parts_, [](const Part& part) { return part.slot >= 0; });
}

std::vector<CotTemplate> read_cot_templates(const std::filesystem::path& file, std::string_view set) {
  const auto root = read_yaml(file);
  std::vector<CotTemplate> templates;
  if (!root.is_map()) {
    read_list(root, templates);
  } else {
    const auto* own = set == kCommon ? nullptr : root.find(set);
    const auto known = sets_of(root);
    if (!own)
      throw DataError({.who = file.string(),
                       .found = fmt::format("no set '{}'", set),
                       .expected = "one of " + join(known),
                       .remedy = meant(set, known)});
    if (const auto* common = root.find(kCommon)) read_list(*common, templates);
    read_list(*own, templates);
  }
  if (templates.empty())
    throw DataError({.who = file.string(), .found = "no template", .expected = "at least one for each set", .remedy = ""});
  return templates;
}

std::vector<std::string> cot_sets(const std::filesystem::path& file) { return sets_of(read_yaml(file)); }

}  // namespace herd
