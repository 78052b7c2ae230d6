#include "launch/run_adapter.h"

#include <algorithm>

#include "peft/adapter_io.h"
#include "peft/lora_start.h"
#include "peft/registry.h"
#include "runtime/base/text.h"

namespace herd {
namespace {

// Equal where two lists hold the same names: PEFT keeps sets.
std::string meaning(ConfigNode node) {
  std::sort(node.items.begin(), node.items.end(), [](const auto& a, const auto& b) { return a.text < b.text; });
  return to_flow(node);
}

[[noreturn]] void refuse(const std::string& adapter, const std::vector<const ConfigNode*>& said, const ConfigNode& held) {
  std::vector<std::string> found, expected;
  for (const auto* node : said) {
    found.push_back("peft." + node->key + "=" + to_flow(*node));
    expected.push_back("peft." + node->key + "=" + to_flow(*held.find(node->key)));
  }
  throw ConfigError({.who = said.front()->origin.place(),
                     .found = join(found, " "),
                     .expected = join(expected, " ") + ", as adapter " + adapter + " has it",
                     .remedy = "leave it out: the adapter says what is trained"});
}

}  // namespace

bool is_own(const Origin& origin) { return origin.source != Origin{}.source && origin.include.empty(); }

void adopt_adapter(ResolvedRun& run) {
  auto& recipe = run.config.peft;
  if (recipe.adapter.empty()) return;
  auto adopted = read_adapter_options(recipe.adapter);
  Schema schema;
  describe(schema, adopted);
  const auto held = schema.store();
  const Origin origin{.source = "from adapter " + recipe.adapter};
  const auto section = std::find_if(run.tree.items.begin(), run.tree.items.end(), [](const auto& item) { return item.key == "peft"; });
  std::vector<const ConfigNode*> contradictions;
  for (auto& value : section->items) {
    const auto& theirs = *held.find(value.key);
    const bool counts_from_start = value.key == "init" && begins_from_base(adopted);
    if (is_of_run(value.key) && !counts_from_start) continue;
    if (!is_own(value.origin)) {
      value = theirs;
      value.origin = origin;
    } else if (const auto own = keys_of_a_course().find(value.key); own != keys_of_a_course().end()) {
      own->second(adopted, recipe);
    } else if (meaning(value) != meaning(theirs)) {
      contradictions.push_back(&value);
    }
  }
  if (!contradictions.empty()) refuse(recipe.adapter, contradictions, held);
  adopted.adapter = recipe.adapter;
  adopted.lora_plus_ratio = recipe.lora_plus_ratio;
  recipe = std::move(adopted);
}

}  // namespace herd
