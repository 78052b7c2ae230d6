#include "data/tokenizer/bpe_tokenizer.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "data/tokenizer/decoder.h"
#include "data/tokenizer/normalizer.h"
#include "data/tokenizer/pre_tokenizer.h"
#include "data/tokenizer/utf8.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"
#include "runtime/base/text.h"

namespace herd {
namespace {

// Ids that stand before and after a single text.
struct Frame {
  std::vector<TokenId> before, after;
};

void read_template(const JsonNode& node, Frame& frame) {
  bool seen = false;
  std::vector<TokenId> before, after;
  for (const auto& part : node.at("single").items()) {
    if (part.has("Sequence")) {
      if (seen) part.complain("the text a second time", "one Sequence");
      seen = true;
      continue;
    }
    const auto ids = node.at("special_tokens").at(part.at("SpecialToken").at("id").text()).at("ids");
    for (const auto& id : ids.items()) (seen ? after : before).push_back(static_cast<TokenId>(id.integer()));
  }
  if (!seen) node.at("single").complain("no Sequence", "the text's place, {\"Sequence\": …}");
  frame.before.insert(frame.before.begin(), before.begin(), before.end());
  frame.after.insert(frame.after.end(), after.begin(), after.end());
}

void read_frame(const JsonNode& node, Frame& frame) {
  if (node.value().is_null()) return;
  const auto type = node.at("type").text();
  if (type == "ByteLevel") return;  // only moves offsets
  if (type == "TemplateProcessing") return read_template(node, frame);
  if (type != "Sequence") node.complain("the type '" + type + "' is not supported", "one of TemplateProcessing, ByteLevel, Sequence");
  for (const auto& part : node.at("processors").items()) read_frame(part, frame);
}

JsonNode optional_part(const JsonNode& root, const char* key) {
  static const JsonNode::Json null;
  return root.has(key) ? root.at(key) : JsonNode(null, root.place());
}

class BpeTokenizer final : public Tokenizer {
 public:
  BpeTokenizer(BpeModel model, const JsonNode& root, const TokenizerSettings& settings)
      : bpe_(std::move(model)),
        normalize_(make_normalizer(optional_part(root, "normalizer"))),
        splits_(root.has("pre_tokenizer")),
        pre_tokenize_(make_pre_tokenizer(optional_part(root, "pre_tokenizer"), prefix_space(settings))),
        scan_(byte_word_scanner(optional_part(root, "pre_tokenizer"), prefix_space(settings))),
        decode_(make_decoder(optional_part(root, "decoder"))),
        byte_fallback_(has_byte_fallback(optional_part(root, "decoder"))) {
    read_frame(optional_part(root, "post_processor"), frame_);
    add_tokens(root, settings);
    const auto id_of = [&](const std::optional<AddedToken>& token) { return token ? token_to_id(token->content) : std::nullopt; };
    bos = id_of(settings.bos);
    eos = id_of(settings.eos);
    pad = id_of(settings.pad);
    unk = settings.unk ? id_of(settings.unk) : bpe_.unk();
    padding_side = settings.padding_side;
    for (const auto token : settings.family->turn_ends)
      if (const auto id = token_to_id(token)) turn_ends.push_back(*id);
    if (settings.form == TokenizerForm::kJson && !settings.family->frames) return;
    frame_ = {};
    if (settings.add_bos && bos) frame_.before = {*bos};
    if (settings.add_eos && eos) frame_.after = {*eos};
  }

  std::vector<TokenId> encode(std::string_view text, bool add_special) const override {
    require_utf8(text, "text to encode");
    std::vector<TokenId> ids;
    if (add_special) ids = frame_.before;
    auto encoder = bpe_.encoder();
    for (const auto& section : raw_.split(text)) {
      if (section.id)
        ids.push_back(*section.id);
      else
        encode_section(section.text, section.text.data() == text.data(), encoder, ids);
    }
    if (add_special) ids.insert(ids.end(), frame_.after.begin(), frame_.after.end());
    return ids;
  }

  std::string decode(std::span<const TokenId> ids, bool skip_special) const override {
    std::vector<std::string> tokens;
    tokens.reserve(ids.size());
    for (const auto id : ids) {
      if (id < 0) throw DataError({.who = "decode", .found = fmt::format("the id {}", id), .expected = "ids from 0", .remedy = {}});
      const auto* token = find(id);
      if (token && !(skip_special && specials_.contains(*token))) tokens.push_back(*token);
    }
    decode_(tokens);
    std::string text;
    for (const auto& token : tokens) text += token;
    return text;
  }

  std::int64_t vocab_size() const override {
    auto size = bpe_.ids();
    for (const auto& [id, token] : added_) size = std::max<std::int64_t>(size, id + 1);
    return size;
  }

  std::optional<TokenId> token_to_id(std::string_view token) const override {
    if (const auto found = added_ids_.find(token); found != added_ids_.end()) return found->second;
    return bpe_.id(token);
  }

  std::string id_to_token(TokenId id) const override {
    if (const auto* token = find(id)) return *token;
    throw DataError({.who = "tokenizer", .found = fmt::format("no token has the id {}", id),
                     .expected = fmt::format("an id from 0 to {}", vocab_size() - 1), .remedy = {}});
  }

  TokenRole role(TokenId id) const override {
    const auto* token = find(id);
    if (!token) return TokenRole::kNone;
    if (specials_.contains(*token)) return TokenRole::kSpecial;
    return byte_fallback_ && byte_of_token(*token) >= 0 ? TokenRole::kByte : TokenRole::kText;
  }

  // Beside the file's bytes: what the settings changed.
  std::string summary() const {
    std::string text = fmt::format("frame {} {} end {} {}", frame_.before, frame_.after, bos.value_or(-1), eos.value_or(-1));
    for (const auto& [id, token] : added_) text += fmt::format("\nadded {} {} {}", id, token.special, token.content);
    return text;
  }

 private:
  // transformers lets tokenizer_config.json overrule the top pre-tokenizer, with "no" where the key is missing.
  static std::optional<bool> prefix_space(const TokenizerSettings& settings) {
    if (!settings.has_config) return std::nullopt;
    return settings.add_prefix_space.value_or(false);
  }

  void encode_section(std::string_view section, bool first, Bpe::Encoder& encoder, std::vector<TokenId>& ids) const {
    const auto text = normalize_(std::string(section));
    for (const auto& part : normalized_.split(text)) {
      if (part.id)
        ids.push_back(*part.id);
      else if (scan_)
        encode_words(part.text, encoder, ids);
      else if (!splits_)
        encoder.encode(part.text, ids);
      else
        encode_split(part.text, first && part.text.data() == text.data(), encoder, ids);
    }
  }

  void encode_words(std::string_view text, Bpe::Encoder& encoder, std::vector<TokenId>& ids) const {
    for (std::size_t at = 0; at < text.size();) {
      const auto stop = scan_(text, at);
      encoder.encode_bytes(text.substr(at, stop - at), ids);
      at = stop;
    }
  }

  void encode_split(std::string_view text, bool first, Bpe::Encoder& encoder, std::vector<TokenId>& ids) const {
    std::vector<Word> words{{std::string(text), first}};
    pre_tokenize_(words);
    for (const auto& word : words) encoder.encode(word.text, ids);
  }

  void add_tokens(const JsonNode& root, const TokenizerSettings& settings) {
    const auto listed = root.has("added_tokens") ? root.at("added_tokens").items() : std::vector<JsonNode>{};
    for (const auto& node : listed) {
      AddedToken token{.content = node.at("content").text(),
                       .single_word = node.boolean_or("single_word", false),
                       .lstrip = node.boolean_or("lstrip", false),
                       .rstrip = node.boolean_or("rstrip", false),
                       .special = node.boolean_or("special", false)};
      token.normalized = node.boolean_or("normalized", !token.special);
      const auto claimed = node.at("id").integer();
      const auto id = add_token(std::move(token));
      if (id && *id != claimed)
        log_warning("{}: token '{}' claims the id {}, but has {} (Hugging Face reads it so, too)", node.place(), node.at("content").text(),
                    claimed, *id);
    }
    const bool as_claimed = settings.form != TokenizerForm::kJson;  // a tokenizer.json's own ids go before the configuration's
    for (const auto& [id, token] : settings.added) add_token(token, as_claimed ? std::optional(id) : std::nullopt);
    for (const auto& token : settings.specials) add_token(token);
  }

  // The id of a token new to the table: the one claimed, the model's own, or the next free one.
  std::optional<TokenId> add_token(AddedToken token, std::optional<TokenId> claimed = {}) {
    if (token.content.empty() || added_ids_.contains(token.content)) return std::nullopt;
    TokenId next = static_cast<TokenId>(bpe_.tokens());
    if (!added_.empty()) next = std::max(next, added_.rbegin()->first + 1);
    const auto id = claimed ? *claimed : bpe_.id(token.content).value_or(next);
    added_ids_.emplace(token.content, id);
    if (token.special) specials_.emplace(token.content, id);
    if (token.normalized)
      normalized_.add(normalize_(token.content), id, token);
    else
      raw_.add(token.content, id, token);
    added_.insert_or_assign(id, std::move(token));
    return id;
  }

  const std::string* find(TokenId id) const {
    const auto found = added_.find(id);
    return found != added_.end() ? &found->second.content : bpe_.token(id);
  }

  Bpe bpe_;
  Normalizer normalize_;
  bool splits_;
  PreTokenizer pre_tokenize_;
  WordScanner scan_;  // in place of pre_tokenize_, where there is one
  Decoder decode_;
  bool byte_fallback_;
  Frame frame_;
  AddedTokenFinder raw_, normalized_;
  std::map<TokenId, AddedToken> added_;
  StringMap<TokenId> added_ids_, specials_;
};

}  // namespace

std::unique_ptr<Tokenizer> make_bpe_tokenizer(BpeModel model, const JsonNode& parts, const TokenizerSettings& settings,
                                              std::string_view file_bytes) {
  auto tokenizer = std::make_unique<BpeTokenizer>(std::move(model), parts, settings);
  tokenizer->fingerprint = fingerprint(std::string(file_bytes) + "\n" + tokenizer->summary());
  return tokenizer;
}

}  // namespace herd
