#include "data/tokenizer/sentencepiece_tokenizer.h"

#include <fmt/format.h>
#include <sentencepiece_processor.h>

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "data/tokenizer/blank_tokens.h"
#include "data/tokenizer/offset_tokenizer.h"
#include "data/tokenizer/sentencepiece_bpe.h"
#include "data/tokenizer/utf8.h"
#include "runtime/base/error.h"
#include "runtime/base/text.h"

namespace herd {
namespace {

constexpr std::string_view kBlank = "\xE2\x96\x81";  // ▁

class SentencePieceTokenizer final : public Tokenizer {
 public:
  SentencePieceTokenizer(const std::string& file, std::string_view model, const TokenizerSettings& settings)
      : family_(*settings.family),
        legacy_(settings.legacy || !family_.llama_blanks),
        add_prefix_space_(family_.llama_blanks && settings.add_prefix_space.value_or(true)) {
    // Appending a message merges it (protocol buffers): normalizer_spec { add_dummy_prefix: false }, as transformers does it
    constexpr std::string_view kNoDummyPrefix("\x1A\x02\x18\x00", 4);
    const auto bytes = std::string(model) + std::string(legacy_ ? "" : kNoDummyPrefix);
    const auto status = processor_.LoadFromSerializedProto(bytes);
    if (!status.ok())
      throw DataError({.who = file,
                       .found = fmt::format("not a SentencePiece model ({})", status.message()),
                       .expected = "a model of SentencePiece",
                       .remedy = "copy or download the file again"});
    if (const auto parsed = parse_sentencepiece(bytes)) bpe_ = SentencePieceBpe::make(*parsed, parsed->add_dummy_prefix);
    for (const auto& [id, token] : settings.added) add_token(id, token);
    auto next = static_cast<TokenId>(processor_.GetPieceSize());
    for (const auto& token : appended_tokens(family_)) {
      specials_.insert(token);
      add_token(next++, {.content = token, .special = true}, family_.appended_in_text);
    }
    for (const auto& token : settings.specials) {
      specials_.insert(token.content);
      if (!added_ids_.contains(token.content)) add_token(token_to_id(token.content).value_or(static_cast<TokenId>(vocab_size())), token);
    }
    set_named(settings);
    set_frame(settings);
  }

  std::vector<TokenId> encode(std::string_view text, bool add_special) const override {
    require_utf8(text, "text to encode");
    std::vector<TokenId> ids;
    if (add_special) ids = before_;
    if (legacy_ || text.empty()) {
      for (const auto& section : finder_.split(text)) encode_section(section, ids);
    } else {
      encode_after_prefix((add_prefix_space_ ? std::string(kBlank) : "") + replace_all(text, kBlank, " "), ids);
    }
    if (add_special) ids.insert(ids.end(), after_.begin(), after_.end());
    return ids;
  }

  std::string decode(std::span<const TokenId> ids, bool skip_special) const override {
    if (family_.only_pieces) return decode_only_pieces(ids, skip_special);
    std::string text;
    bool first = true;
    std::vector<std::string> run;
    const auto join = [&](const std::string& part) {  // parts are joined by blanks
      text += (first ? "" : " ") + part;
      first = false;
    };
    for (const auto id : ids) {
      require_id(id);
      if (role(id) == TokenRole::kNone) continue;
      auto token = id_to_token(id);
      const bool special = specials_.contains(token);
      if (skip_special && special) continue;
      if (!stands_apart(token, special)) {
        run.push_back(std::move(token));
        continue;
      }
      if (const auto part = run.empty() ? "" : decode_run(run); !part.empty()) join(part);
      run.clear();
      join(token);
    }
    if (!run.empty()) join(decode_run(run));
    return text;
  }

  std::int64_t vocab_size() const override {
    const std::int64_t pieces = processor_.GetPieceSize();
    return added_.empty() ? pieces : std::max<std::int64_t>(pieces, added_.rbegin()->first + 1);
  }

  std::optional<TokenId> token_to_id(std::string_view token) const override {
    if (const auto found = added_ids_.find(std::string(token)); found != added_ids_.end()) return found->second;
    const auto id = processor_.PieceToId(token);
    return id >= 0 && id < processor_.GetPieceSize() && processor_.IdToPiece(id) == token ? std::optional<TokenId>(id) : std::nullopt;
  }

  std::string id_to_token(TokenId id) const override {
    if (const auto found = added_.find(id); found != added_.end()) return found->second;
    if (id >= 0 && id < processor_.GetPieceSize()) return processor_.IdToPiece(id);
    throw DataError({.who = "tokenizer", .found = fmt::format("no token has the id {}", id),
                     .expected = fmt::format("an id from 0 to {}", vocab_size() - 1), .remedy = {}});
  }

  TokenRole role(TokenId id) const override {
    const bool piece = id >= 0 && id < processor_.GetPieceSize();
    if (!piece && !added_.contains(id)) return TokenRole::kNone;
    if (specials_.contains(id_to_token(id))) return TokenRole::kSpecial;
    return piece && processor_.IsByte(id) ? TokenRole::kByte : TokenRole::kText;
  }

  std::string summary() const {
    std::string text = fmt::format("sentencepiece {} {} {} {} end {} {}", legacy_, add_prefix_space_, !before_.empty(), !after_.empty(),
                                   bos.value_or(-1), eos.value_or(-1));
    for (const auto& [id, content] : added_) text += fmt::format("\nadded {} {} {}", id, specials_.contains(content), content);
    return text;
  }

 private:
  void add_token(TokenId id, const AddedToken& token, bool in_text = true) {
    if (token.content.empty()) return;
    if (in_text) finder_.add(token.content, id, token);
    added_.insert_or_assign(id, token.content);
    added_ids_.insert_or_assign(token.content, id);
  }

  // Without a tokenizer_config.json the model's own control pieces name bos, eos, pad and unk.
  void set_named(const TokenizerSettings& settings) {
    const auto named = [&](const std::optional<AddedToken>& token, int own) -> std::optional<TokenId> {
      if (token) return token_to_id(token->content);
      return settings.has_config || own < 0 ? std::nullopt : std::optional<TokenId>(own);
    };
    bos = named(settings.bos, processor_.bos_id());
    eos = named(settings.eos, processor_.eos_id());
    pad = named(settings.pad, processor_.pad_id());
    unk = named(settings.unk, processor_.unk_id());
    if (settings.has_config) return;
    for (const auto id : {bos, eos, pad, unk})
      if (id && specials_.insert(processor_.IdToPiece(*id)).second) add_token(*id, {.content = processor_.IdToPiece(*id), .special = true});
  }

  void set_frame(const TokenizerSettings& settings) {
    if (settings.add_bos && bos) before_ = {*bos};
    if (settings.add_eos && eos) after_ = {*eos};
    for (const auto token : family_.before) before_.push_back(token_to_id(token).value());
    for (const auto token : family_.after) after_.push_back(token_to_id(token).value());
    for (const auto token : family_.turn_ends)
      if (const auto id = token_to_id(token)) turn_ends.push_back(*id);
    padding_side = settings.padding_side;
  }

  void append_ids(std::string_view text, std::vector<TokenId>& ids) const {
    if (bpe_) return bpe_->encode(text, ids);
    const auto encoded = processor_.EncodeAsIds(family_.blank_tokens ? write_blank_tokens(text) : std::string(text));
    ids.insert(ids.end(), encoded.begin(), encoded.end());
  }

  std::vector<TokenId> ids_of(std::string_view text) const {
    std::vector<TokenId> ids;
    append_ids(text, ids);
    return ids;
  }

  void encode_section(const Section& section, std::vector<TokenId>& ids) const {
    if (section.id)
      ids.push_back(*section.id);
    else
      append_ids(section.text, ids);
  }

  // The newer behaviour: only the start of the text gets a blank in front. The library would eat a leading blank (its dummy prefix is off),
  // so such a section is encoded behind the unknown token's text, whose ids are cut off again.
  void encode_after_prefix(const std::string& text, std::vector<TokenId>& ids) const {
    const auto sections = finder_.split(text);
    const auto unk_text = unk ? id_to_token(*unk) : std::string();
    const auto unk_length = ids_of(unk_text).size();
    for (std::size_t i = 0; i < sections.size(); ++i) {
      const auto& section = sections[i];
      const bool blank = section.text.starts_with(kBlank) || section.text.starts_with(' ');
      if (section.id || !blank) {
        encode_section(section, ids);
        continue;
      }
      auto encoded = ids_of(unk_text + std::string(section.text));
      if (encoded.size() >= unk_length) encoded.erase(encoded.begin(), encoded.begin() + static_cast<std::ptrdiff_t>(unk_length));
      const bool before_special = i == 0 && sections.size() > 1 && specials_.contains(id_to_token(sections[1].id.value_or(0)));
      if (before_special && encoded.size() == 1 && processor_.IdToPiece(encoded[0]) == kBlank) continue;
      ids.insert(ids.end(), encoded.begin(), encoded.end());
    }
  }

  static void require_id(TokenId id) {
    if (id < 0) throw DataError({.who = "decode", .found = fmt::format("the id {}", id), .expected = "ids from 0", .remedy = {}});
  }

  // ChatGLM's way: all is left to the library, which has no text for control pieces; appended tokens have none either, nor has padding.
  std::string decode_only_pieces(std::span<const TokenId> ids, bool skip_special) const {
    std::vector<std::string> pieces;
    for (const auto id : ids) {
      require_id(id);
      const auto kind = role(id);
      if (kind == TokenRole::kNone || id == pad || (skip_special && kind == TokenRole::kSpecial)) continue;
      pieces.push_back(id < processor_.GetPieceSize() ? processor_.IdToPiece(id) : std::string());
    }
    const auto text = decode_pieces(pieces);
    return family_.blank_tokens ? read_blank_tokens(text) : text;
  }

  // Added tokens that are not special are never given to SentencePiece: the text is put together around them.
  bool stands_apart(const std::string& token, bool special) const { return !special && added_ids_.contains(token); }

  std::string decode_pieces(std::vector<std::string>& pieces) const {
    std::string text;
    if (!pieces.empty()) {
      const auto status = processor_.Decode(pieces, &text);
      if (!status.ok()) throw DataError({.who = "SentencePiece", .found = std::string(status.message()), .expected = {}, .remedy = {}});
    }
    pieces.clear();
    return text;
  }

  // Pieces and special tokens, as LlamaTokenizer.convert_tokens_to_string: blanks around special tokens depend on `legacy`.
  std::string decode_run(std::vector<std::string> tokens) const {
    if (add_prefix_space_ && tokens[0].starts_with(kBlank)) tokens[0].erase(0, kBlank.size());
    std::string text;
    std::vector<std::string> pieces;
    bool after_special = false;
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      const auto& token = tokens[i];
      if (specials_.contains(token)) {
        if (!after_special && i != 0 && legacy_) text += " ";
        text += decode_pieces(pieces) + token;
        after_special = true;
        continue;
      }
      if (after_special && i == 1 && add_prefix_space_ && !token.starts_with(kBlank)) text += " ";
      pieces.push_back(token);
      after_special = false;
    }
    return text + decode_pieces(pieces);
  }

  const TokenizerFamily& family_;
  sentencepiece::SentencePieceProcessor processor_;
  std::unique_ptr<SentencePieceBpe> bpe_;  // encodes in the library's place where it can
  bool legacy_, add_prefix_space_;
  std::vector<TokenId> before_, after_;
  AddedTokenFinder finder_;
  std::map<TokenId, std::string> added_;
  std::unordered_map<std::string, TokenId> added_ids_;
  std::unordered_set<std::string> specials_;
};

}  // namespace

std::unique_ptr<Tokenizer> make_sentencepiece_tokenizer(const std::string& file, std::string_view bytes,
                                                        const TokenizerSettings& settings) {
  auto tokenizer = std::make_unique<SentencePieceTokenizer>(file, bytes, settings);
  tokenizer->fingerprint = fingerprint(std::string(bytes) + "\n" + tokenizer->summary());
  if (settings.image_tokens == 0) return tokenizer;
  return make_offset_tokenizer(std::move(tokenizer), static_cast<TokenId>(settings.image_tokens));
}

}  // namespace herd
