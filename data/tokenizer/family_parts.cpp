#include "data/tokenizer/family_parts.h"

namespace herd {

JsonNode::Json family_parts(const TokenizerSettings& settings, std::size_t tokens) {
  using Json = JsonNode::Json;
  const auto& family = *settings.family;
  Json split = {{"type", "Split"}, {"pattern", {{"Regex", family.split}}}, {"behavior", "Isolated"}, {"invert", false}};
  Json bytes = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}};
  Json parts = {{"pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", Json::array({split, bytes})}}},
                {"decoder", {{"type", "ByteLevel"}}}};
  if (settings.add_prefix_space.value_or(false))  // GPT-2's class alone knows it
    parts["pre_tokenizer"] = {{"type", "ByteLevel"}, {"add_prefix_space", true}, {"use_regex", true}};
  if (family.nfc) parts["normalizer"] = {{"type", "NFC"}};
  auto added = Json::array();
  for (const auto& token : appended_tokens(family)) {
    added.push_back({{"id", tokens}, {"content", token}, {"special", true}, {"normalized", false}});
    ++tokens;
  }
  parts["added_tokens"] = std::move(added);
  return parts;
}

}  // namespace herd
