#include "data/tokenizer/settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "data/tokenizer/json_node.h"

namespace herd {
namespace {

using Named = std::map<std::string, AddedToken, std::less<>>;

constexpr std::array kNamedTokens{"bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"};

AddedToken plain_special(std::string content) { return {.content = std::move(content), .special = true}; }

AddedToken read_token(const JsonNode& node, bool special) {
  if (node.value().is_string()) return plain_special(node.text());
  AddedToken token{.content = node.at("content").text(),
                   .single_word = node.boolean_or("single_word", false),
                   .lstrip = node.boolean_or("lstrip", false),
                   .rstrip = node.boolean_or("rstrip", false),
                   .special = special || node.boolean_or("special", false)};
  token.normalized = node.boolean_or("normalized", !token.special);
  return token;
}

// What a class fills in where the configuration has no such key.
Named class_defaults(const TokenizerFamily& family) {
  Named named;
  const std::pair<const char*, std::string_view> defaults[] = {
      {"bos_token", family.bos}, {"eos_token", family.eos}, {"unk_token", family.unk}, {"pad_token", family.pad}};
  for (const auto& [key, content] : defaults)
    if (!content.empty()) named.emplace(key, plain_special(std::string(content)));
  return named;
}

class Reader {
 public:
  Reader(const std::filesystem::path& folder, TokenizerSettings& settings) : folder_(folder), settings_(settings) {}

  void run(TokenizerForm form, std::size_t ranks) {
    const auto config = parse("tokenizer_config.json");
    const auto text = [&](const char* key) { return config ? config->text_or(key, "") : std::string(); };
    const auto& family = *(settings_.family = &tokenizer_family(text("tokenizer_class"), form, text("name_or_path"), ranks));
    settings_.add_bos = family.add_bos;
    settings_.padding_side = family.padding;
    settings_.image_tokens = family.image_tokens;
    // A folder without any configuration says no more than its files, but for the forms that need a family to be read at all.
    if (config || form == TokenizerForm::kTiktoken || form == TokenizerForm::kVocabMerges || form == TokenizerForm::kIceText)
      named_ = class_defaults(family);
    bool modern = false;
    if (config) {
      settings_.has_config = true;
      read_config(*config);
      modern = config->has("added_tokens_decoder");
    }
    if (!modern) {
      if (const auto map = parse("special_tokens_map.json")) read_named(*map);
      if (const auto added = parse("added_tokens.json")) read_added(*added);
    }
    for (const auto* key : kNamedTokens)
      if (const auto found = named_.find(key); found != named_.end()) settings_.specials.push_back(found->second);
    for (const auto& token : additional_)
      if (!settings_.is_special(token.content)) settings_.specials.push_back(token);
    settings_.bos = named("bos_token");
    settings_.eos = named("eos_token");
    settings_.unk = named("unk_token");
    settings_.pad = named("pad_token");
    for (auto& [id, token] : settings_.added)
      if (settings_.is_special(token.content)) token.special = true;
  }

 private:
  std::optional<JsonNode> parse(const char* name) {
    const auto file = folder_ / name;
    if (!std::filesystem::exists(file)) return std::nullopt;
    storage_.push_back(std::make_unique<JsonNode::Json>());
    auto node = JsonNode::parse(file, read_text_file(file), *storage_.back());
    if (!node.value().is_object()) node.complain(fmt::format("a JSON {}", node.value().type_name()), "an object");
    return node;
  }

  void read_config(const JsonNode& config) {
    settings_.add_bos = config.boolean_or("add_bos_token", settings_.add_bos);
    settings_.add_eos = config.boolean_or("add_eos_token", false);
    settings_.legacy = config.boolean_or("legacy", true);
    if (config.has("add_prefix_space")) settings_.add_prefix_space = config.at("add_prefix_space").boolean();
    settings_.image_tokens = config.integer_or("num_image_tokens", settings_.image_tokens);
    if (settings_.image_tokens < 0) config.at("num_image_tokens").complain(std::to_string(settings_.image_tokens), "0 or more");
    const auto side = config.text_or("padding_side", settings_.padding_side == PaddingSide::kLeft ? "left" : "right");
    if (side != "left" && side != "right") config.at("padding_side").complain("'" + side + "'", "left or right");
    settings_.padding_side = side == "left" ? PaddingSide::kLeft : PaddingSide::kRight;
    read_named(config);
    if (!config.has("added_tokens_decoder")) return;
    const auto added = config.at("added_tokens_decoder");
    for (const auto& [key, value] : added.value().items()) {
      TokenId id = -1;
      const auto [stop, error] = std::from_chars(key.data(), key.data() + key.size(), id);
      if (error != std::errc{} || stop != key.data() + key.size() || id < 0) added.complain("the key '" + key + "'", "a token id");
      settings_.added.emplace(id, read_token(added.at(key), false));
    }
  }

  void read_named(const JsonNode& node) {
    for (const auto* key : kNamedTokens) {
      if (!node.value().contains(key)) continue;
      if (node.has(key))
        named_.insert_or_assign(key, read_token(node.at(key), true));
      else
        named_.erase(key);
    }
    if (!node.has("additional_special_tokens")) return;
    for (const auto& token : node.at("additional_special_tokens").items()) additional_.push_back(read_token(token, true));
  }

  void read_added(const JsonNode& added) {
    for (const auto& [content, value] : added.value().items()) {
      const auto id = added.at(content).integer();
      settings_.added.insert_or_assign(static_cast<TokenId>(id), AddedToken{.content = content, .normalized = true});
    }
  }

  std::optional<AddedToken> named(std::string_view key) const {
    const auto found = named_.find(key);
    return found == named_.end() ? std::nullopt : std::optional(found->second);
  }

  const std::filesystem::path& folder_;
  TokenizerSettings& settings_;
  Named named_;
  std::vector<AddedToken> additional_;
  std::vector<std::unique_ptr<JsonNode::Json>> storage_;
};

}  // namespace

bool TokenizerSettings::is_special(std::string_view content) const {
  return std::any_of(specials.begin(), specials.end(), [&](const AddedToken& token) { return token.content == content; });
}

TokenizerSettings read_tokenizer_settings(const std::filesystem::path& folder, TokenizerForm form, std::size_t ranks) {
  TokenizerSettings settings{.form = form};
  Reader(folder, settings).run(form, ranks);
  return settings;
}

}  // namespace herd
