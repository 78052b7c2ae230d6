#include <fmt/format.h>

#include "data/tokenizer/bpe.h"
#include "data/tokenizer/json_node.h"

namespace herd {
namespace {

// `placed` makes the node of a merge that is wrong: there are a hundred thousand that are not.
template <class Placed>
std::pair<std::string, std::string> read_pair(const JsonNode::Json& merge, const Placed& placed) {
  const auto complain = [&](const std::string& found) {
    placed().complain(found, "two tokens, as \"a b\" or [\"a\", \"b\"]",
                      "the file may have been written by a broken converter: take the model's own");
  };
  if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string())
    return {merge[0].get<std::string>(), merge[1].get<std::string>()};
  if (!merge.is_string()) complain(fmt::format("the merge {}", merge.dump()));
  const auto& pair = merge.get_ref<const std::string&>();
  const auto space = pair.find(' ');
  if (space == std::string::npos || pair.find(' ', space + 1) != std::string::npos) complain(fmt::format("the merge '{}'", pair));
  return {pair.substr(0, space), pair.substr(space + 1)};
}

void read_merges(const JsonNode& merges, BpeModel& model) {
  if (!merges.value().is_array()) merges.complain(fmt::format("a JSON {}", merges.value().type_name()), "a list of merges");
  std::uint32_t rank = 0;
  for (const auto& value : merges.value()) {
    const auto placed = [&] { return JsonNode(value, fmt::format("{}[{}]", merges.place(), rank)); };
    const auto pair = read_pair(value, placed);
    const auto& left = pair.first;
    const auto& right = pair.second;
    const auto known = [&](const std::string& token) {
      const auto found = model.vocabulary.find(token);
      if (found == model.vocabulary.end())
        placed().complain(fmt::format("'{}' + '{}', but '{}' is not in the vocabulary", left, right, token), "tokens of the vocabulary");
      return found->second;
    };
    const auto tail = right.starts_with(model.prefix) ? right.substr(model.prefix.size()) : right;
    model.merges.push_back({.left = known(left), .right = known(right), .merged = known(left + tail), .rank = rank++});
  }
}

}  // namespace

StringMap<TokenId> read_vocabulary(const JsonNode& vocabulary) {
  if (!vocabulary.value().is_object())
    vocabulary.complain(fmt::format("a JSON {}", vocabulary.value().type_name()), "an object: token to id");
  StringMap<TokenId> tokens;
  tokens.reserve(vocabulary.value().size());
  for (const auto& [token, value] : vocabulary.value().items()) {
    const auto number = value.is_number_integer() ? value.get<std::int64_t>() : -1;
    if (number < 0 || number >= kGreatestTokenId)
      vocabulary.complain(fmt::format("token '{}' has the id {}", token, value.dump()),
                          fmt::format("an id from 0 to {}", kGreatestTokenId - 1));
    tokens.emplace(token, static_cast<TokenId>(number));
  }
  return tokens;
}

BpeModel read_bpe_model(const JsonNode& node) {
  BpeModel model{.vocabulary = {},
                 .merges = {},
                 .prefix = node.text_or("continuing_subword_prefix", ""),
                 .suffix = node.text_or("end_of_word_suffix", ""),
                 .unk = std::nullopt,
                 .fuse_unk = node.boolean_or("fuse_unk", false),
                 .byte_fallback = node.boolean_or("byte_fallback", false),
                 .ignore_merges = node.boolean_or("ignore_merges", false)};
  if (node.has("dropout") && node.at("dropout").value() != 0.0)
    node.at("dropout").complain(node.at("dropout").value().dump(), "null: random merges would make ids that depend on chance");
  model.vocabulary = read_vocabulary(node.at("vocab"));
  read_merges(node.at("merges"), model);
  if (!node.has("unk_token")) return model;
  const auto unk = node.at("unk_token");
  const auto found = model.vocabulary.find(unk.text());
  if (found == model.vocabulary.end()) unk.complain("'" + unk.text() + "' is not in the vocabulary", "a token of the vocabulary");
  model.unk = found->second;
  return model;
}

}  // namespace herd
