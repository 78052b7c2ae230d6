#include "data/tokenizer/extend.h"

#include <fmt/format.h>

#include <fstream>
#include <unordered_set>

#include "data/tokenizer/json_node.h"
#include "data/tokenizer/sentencepiece_model.h"
#include "data/tokenizer/sentencepiece_tokenizer.h"
#include "runtime/base/error.h"

namespace herd {
namespace {

namespace fs = std::filesystem;
using Type = SentencePieceModel::PieceType;

SentencePieceModel parse(const fs::path& file, std::string_view bytes) {
  if (auto model = parse_sentencepiece(bytes)) return *std::move(model);
  throw DataError({.who = file.string(), .found = "not a SentencePiece model", .expected = "a model of SentencePiece",
                   .remedy = "copy or download the file again"});
}

// The old model without its dummy prefix: what a piece is made of has no blank before it.
std::unique_ptr<Tokenizer> bare(const fs::path& file) {
  TokenizerSettings settings{.form = TokenizerForm::kSentencePiece, .family = &tokenizer_family("", TokenizerForm::kSentencePiece)};
  settings.has_config = true;  // no special tokens: pieces are text
  settings.legacy = false;
  settings.add_bos = false;
  settings.add_prefix_space = false;
  return make_sentencepiece_tokenizer(file, settings);
}

}  // namespace

ExtendedVocabulary extend_vocabulary(const fs::path& folder, const fs::path& extension) {
  const auto file = folder / "tokenizer.model";
  ExtendedVocabulary result{.model = read_text_file(file), .pieces = {}, .old_ids = {}};
  const auto old = parse(file, result.model);
  result.old_pieces = static_cast<std::int64_t>(old.pieces.size());
  const auto whole = make_sentencepiece_tokenizer(file, read_tokenizer_settings(folder, TokenizerForm::kSentencePiece));
  if (const auto added = whole->vocab_size() - result.old_pieces; added != 0)
    throw DataError({.who = folder.string(),
                     .found = fmt::format("{} tokens added behind the {} pieces of its tokenizer.model", added, result.old_pieces),
                     .expected = "none: new pieces come in their place",
                     .remedy = "extend the tokenizer without them, and add them after that"});
  std::unordered_set<std::string> known;
  for (const auto& piece : old.pieces) known.insert(piece.text);
  const auto tokenizer = bare(file);
  for (const auto& piece : parse(extension, read_text_file(extension)).pieces) {
    const bool text = piece.type == Type::kNormal || piece.type == Type::kUserDefined;
    if (!text || !known.insert(piece.text).second) continue;
    result.model += piece_message({.text = piece.text, .score = 0, .type = Type::kNormal});
    auto ids = tokenizer->encode(piece.text, false);
    if (ids.empty()) ids.push_back(whole->unk.value_or(0));
    result.old_ids.push_back(std::move(ids));
    result.pieces.push_back(piece.text);
  }
  if (result.pieces.empty())
    throw DataError({.who = extension.string(), .found = "no piece that the tokenizer lacks", .expected = "new pieces", .remedy = {}});
  return result;
}

void save_extended(const ExtendedVocabulary& vocabulary, const fs::path& folder, const fs::path& target) {
  fs::create_directories(target);
  std::ofstream out(target / "tokenizer.model", std::ios::binary);
  out << vocabulary.model << std::flush;
  if (!out) throw IoError({.who = (target / "tokenizer.model").string(), .found = "cannot be written", .expected = "room for it", .remedy = {}});
  for (const auto& file : tokenizer_files(folder)) {
    const auto name = file.filename();
    if (name != "tokenizer.model" && name != "tokenizer.json") fs::copy_file(file, target / name, fs::copy_options::overwrite_existing);
  }
}

}  // namespace herd
