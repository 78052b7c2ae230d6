#include "data/template/encode.h"

#include <algorithm>
#include <array>
#include <optional>

#include "runtime/base/error.h"

namespace herd {
namespace {

bool is_token(const TextPiece& piece) { return piece.is_bos || piece.is_eos; }

bool alike(const TextPiece& a, const TextPiece& b) { return !is_token(a) && !is_token(b) && a.written == b.written && (!a.written || a.turn == b.turn); }

std::optional<std::vector<TokenId>> without_prefix(std::vector<TokenId> ids, std::span<const TokenId> prefix) {
  if (ids.size() < prefix.size() || !std::equal(prefix.begin(), prefix.end(), ids.begin())) return std::nullopt;
  ids.erase(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(prefix.size()));
  return ids;
}

}  // namespace

PieceEncoder::PieceEncoder(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {
  const auto size = static_cast<TokenId>(tokenizer.vocab_size());
  for (TokenId id = 0; id < size; ++id) {
    if (tokenizer.role(id) != TokenRole::kSpecial) continue;
    const auto text = tokenizer.id_to_token(id);
    if (tokenizer.encode(text, false) == std::vector{id}) specials_.add(text, id, {});  // others are never read in a text (ChatGLM2's "eop")
  }
  // A line end seldom merges with what follows; where it does, one of the others does not.
  for (const auto* text : {"\n", ":", "a"}) anchors_.push_back({text, tokenizer.encode(text, false)});
}

// SentencePiece puts a space before every text: in the middle of one, something must stand before it that is taken off again.
std::vector<TokenId> PieceEncoder::within(std::string_view text) const {
  for (const auto& anchor : anchors_)
    if (auto ids = without_prefix(tokenizer_.encode(anchor.text + std::string(text), false), anchor.ids)) return *ids;
  return tokenizer_.encode(text, false);
}

// Some tokenizers begin anew after a special token (LLaMA's, with a space), others do not.
std::vector<TokenId> PieceEncoder::after(TokenId special, std::string_view text) const {
  auto ids = without_prefix(tokenizer_.encode(tokenizer_.id_to_token(special) + std::string(text), false), std::array{special});
  return ids ? *ids : within(text);
}

std::vector<std::size_t> PieceEncoder::cuts(std::string_view text, std::span<const TextPiece> pieces) const {
  std::vector<std::size_t> out;
  for (const auto& section : specials_.split(text)) {
    if (!section.id) continue;
    const auto begin = static_cast<std::size_t>(section.text.data() - text.data()), end = begin + section.text.size();
    std::size_t at = 0;
    for (const auto& piece : pieces) {
      const auto stop = at + piece.text.size();
      const bool inside = at <= begin && end <= stop;
      if (at < end && begin < stop && !(piece.own_words && inside)) {
        auto cut = begin + 1;
        while (cut < end && (static_cast<unsigned char>(text[cut]) & 0xc0) == 0x80) ++cut;  // between characters
        out.push_back(cut);
        break;
      }
      at = stop;
    }
  }
  return out;
}

EncodedPieces PieceEncoder::operator()(std::span<const TextPiece> pieces, bool special) const {
  EncodedPieces out;
  bool first_stretch = true;
  const auto add = [&](const TextPiece& piece, const std::vector<TokenId>& ids) {
    out.spans.push_back({out.ids.size(), out.ids.size() + ids.size(), piece.written, piece.written ? piece.turn : -1});
    out.ids.insert(out.ids.end(), ids.begin(), ids.end());
    first_stretch = false;
  };
  const auto encode = [&](std::string_view text) {
    if (first_stretch) return first(text, special);
    const auto last = out.ids.empty() ? TokenId{-1} : out.ids.back();
    if (last == tokenizer_.bos) return first(text, false);  // a new text begins there, as Meta writes LLaMA-2's rounds
    return tokenizer_.role(last) == TokenRole::kSpecial ? after(last, text) : within(text);
  };
  for (std::size_t begin = 0; begin < pieces.size();) {
    const auto& piece = pieces[begin];
    if (piece.is_bos) {
      if (tokenizer_.bos) add(piece, {*tokenizer_.bos});
      ++begin;
      continue;
    }
    if (piece.is_eos) {
      if (!tokenizer_.eos)
        throw DataError({.who = "tokenizer", .found = "no end-of-sequence token", .expected = "one to end each answer with",
                         .remedy = "name eos_token in tokenizer_config.json"});
      add(piece, {*tokenizer_.eos});
      ++begin;
      continue;
    }
    std::string text;
    auto end = begin;
    for (; end < pieces.size() && alike(piece, pieces[end]); ++end) text += pieces[end].text;
    const auto stretch = pieces.subspan(begin, end - begin);
    std::size_t from = 0;
    for (const auto cut : cuts(text, stretch)) {
      add(piece, encode(std::string_view(text).substr(from, cut - from)));
      from = cut;
    }
    add(piece, encode(std::string_view(text).substr(from)));
    begin = end;
  }
  return out;
}

}  // namespace herd
