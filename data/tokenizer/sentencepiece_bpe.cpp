#include "data/tokenizer/sentencepiece_bpe.h"

#include <algorithm>
#include <functional>

#include "data/tokenizer/utf8.h"

namespace herd {
namespace {

using Type = SentencePieceModel::PieceType;

constexpr std::string_view kBlank = "\xE2\x96\x81";  // ▁

std::size_t next_character(std::string_view text, std::size_t at) {
  next_code_point(text, at);
  return at;
}

// Ranks of the scores: the greatest score merges first, equal scores from left to right.
std::vector<std::uint32_t> ranks_of(const SentencePieceModel& model) {
  std::vector<float> scores;
  for (const auto& piece : model.pieces)
    if (piece.type == Type::kNormal) scores.push_back(piece.score);
  std::sort(scores.begin(), scores.end(), std::greater<>());
  scores.erase(std::unique(scores.begin(), scores.end()), scores.end());
  std::vector<std::uint32_t> ranks;
  for (const auto& piece : model.pieces)
    ranks.push_back(static_cast<std::uint32_t>(std::lower_bound(scores.begin(), scores.end(), piece.score, std::greater<>()) - scores.begin()));
  return ranks;
}

// Every way to put a piece together from two others. @return whether all of its characters are pieces.
bool add_merges(std::string_view text, TokenId merged, std::uint32_t rank, const StringMap<TokenId>& normal, std::vector<Merge>& merges) {
  for (std::size_t at = 0; at < text.size();) {
    const auto stop = next_character(text, at);
    if (!normal.contains(text.substr(at, stop - at))) return false;
    at = stop;
    const auto left = normal.find(text.substr(0, at)), right = normal.find(text.substr(at));
    if (at < text.size() && left != normal.end() && right != normal.end()) merges.push_back({left->second, right->second, merged, rank});
  }
  return true;
}

}  // namespace

std::unique_ptr<SentencePieceBpe> SentencePieceBpe::make(const SentencePieceModel& model, bool add_dummy_prefix) {
  const bool plain = model.algorithm == SentencePieceModel::Algorithm::kBpe && !model.rewrites && !model.remove_extra_blanks &&
                     model.escape_blanks && !model.blank_behind;
  if (!plain) return nullptr;
  BpeModel bpe;
  bpe.byte_fallback = model.byte_fallback;
  bpe.fuse_unk = true;
  StringMap<TokenId> normal;
  for (std::size_t i = 0; i < model.pieces.size(); ++i) {
    const auto& piece = model.pieces[i];
    const auto id = static_cast<TokenId>(i);
    if (piece.type == Type::kUnused || invalid_utf8(piece.text)) return nullptr;
    if (piece.type == Type::kUnknown) bpe.unk = id;
    if (piece.type == Type::kNormal && !normal.emplace(piece.text, id).second) return nullptr;
    if (piece.type == Type::kByte && model.byte_fallback) bpe.vocabulary.emplace(piece.text, id);
  }
  const auto ranks = ranks_of(model);
  for (const auto& [text, id] : normal)
    if (!add_merges(text, id, ranks[static_cast<std::size_t>(id)], normal, bpe.merges)) return nullptr;
  bpe.vocabulary.merge(std::move(normal));
  std::unique_ptr<SentencePieceBpe> made(new SentencePieceBpe(std::move(bpe), add_dummy_prefix));
  for (std::size_t i = 0; i < model.pieces.size(); ++i)
    if (model.pieces[i].type == Type::kUserDefined) made->user_defined_.add(model.pieces[i].text, static_cast<TokenId>(i), {});
  return made;
}

void SentencePieceBpe::encode(std::string_view text, std::vector<TokenId>& ids) const {
  if (text.empty()) return;
  const auto normalized = (add_dummy_prefix_ ? std::string(kBlank) : std::string()) + replace_all(text, " ", kBlank);
  auto encoder = bpe_.encoder();
  for (const auto& section : user_defined_.split(normalized)) {
    if (section.id)
      ids.push_back(*section.id);
    else
      encoder.encode(section.text, ids);
  }
}

}  // namespace herd
