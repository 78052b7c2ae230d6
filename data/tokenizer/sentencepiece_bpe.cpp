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
  for (const auto& piece : model.pieces) {
    const auto found = std::lower_bound(scores.begin(), scores.end(), piece.score, std::greater<>());
    ranks.push_back(static_cast<std::uint32_t>(found - scores.begin()));
  }
  return ranks;
}

using Pieces = StringMap<TokenId>;

// What becomes of a piece: its characters merge; or never do, as one of them is always taken as it stands;
// or one of them is no piece itself.
enum class Fate { kMerges, kNever, kForLibrary };

Fate fate_of(std::string_view text, const Pieces& normal, const Pieces& user_defined) {
  auto fate = Fate::kMerges;
  for (std::size_t at = 0; at < text.size();) {
    const auto start = at;
    const auto character = text.substr(start, (at = next_character(text, at)) - start);
    if (user_defined.contains(character))
      fate = Fate::kNever;
    else if (!normal.contains(character))
      return Fate::kForLibrary;
  }
  return fate;
}

// Every way to put a piece together from two others.
void add_merges(std::string_view text, TokenId merged, std::uint32_t rank, const Pieces& normal, std::vector<Merge>& merges) {
  for (std::size_t at = next_character(text, 0); at < text.size(); at = next_character(text, at)) {
    const auto left = normal.find(text.substr(0, at)), right = normal.find(text.substr(at));
    if (left != normal.end() && right != normal.end()) merges.push_back({left->second, right->second, merged, rank});
  }
}

}  // namespace

std::unique_ptr<SentencePieceBpe> SentencePieceBpe::make(const SentencePieceModel& model, bool add_dummy_prefix) {
  const bool plain = model.algorithm == SentencePieceModel::Algorithm::kBpe && !model.rewrites && !model.remove_extra_blanks &&
                     model.escape_blanks && !model.blank_behind;
  if (!plain) return nullptr;
  BpeModel bpe;
  bpe.byte_fallback = model.byte_fallback;
  bpe.fuse_unk = true;
  Pieces normal, user_defined;
  for (std::size_t i = 0; i < model.pieces.size(); ++i) {
    const auto& piece = model.pieces[i];
    const auto id = static_cast<TokenId>(i);
    if (piece.type == Type::kUnused || piece.text.empty() || invalid_utf8(piece.text)) return nullptr;
    if (piece.type == Type::kUserDefined) user_defined.emplace(piece.text, id);
    if (piece.type == Type::kUnknown) bpe.unk = id;
    if (piece.type == Type::kNormal && !normal.emplace(piece.text, id).second) return nullptr;
    if (piece.type == Type::kByte && model.byte_fallback) bpe.vocabulary.emplace(piece.text, id);
  }
  const auto ranks = ranks_of(model);
  for (const auto& [text, id] : normal) {
    const auto fate = fate_of(text, normal, user_defined);
    if (fate == Fate::kForLibrary) return nullptr;
    if (fate == Fate::kMerges) add_merges(text, id, ranks[static_cast<std::size_t>(id)], normal, bpe.merges);
  }
  bpe.vocabulary.merge(std::move(normal));
  std::unique_ptr<SentencePieceBpe> made(new SentencePieceBpe(std::move(bpe), add_dummy_prefix));
  for (const auto& [text, id] : user_defined) made->user_defined_.add(text, id, {});
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
