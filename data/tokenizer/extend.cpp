#include "data/tokenizer/extend.h"

#include <fmt/format.h>

#include <unordered_set>

#include "data/tokenizer/json_node.h"
#include "data/tokenizer/sentencepiece_model.h"
#include "data/tokenizer/sentencepiece_tokenizer.h"
#include "data/tokenizer/slow_forms.h"
#include "runtime/base/error.h"
#include "runtime/base/file.h"
#include "runtime/base/text.h"

namespace herd {
namespace {

namespace fs = std::filesystem;
using Type = SentencePieceModel::PieceType;

constexpr const char* kModel = "tokenizer.model";

SentencePieceModel parse(const fs::path& file, std::string_view bytes) {
  if (auto model = parse_sentencepiece(bytes)) return *std::move(model);
  throw DataError({.who = file.string(),
                   .found = "not a SentencePiece model",
                   .expected = "a model of SentencePiece",
                   .remedy = "copy or download the file again"});
}

fs::path model_to_extend(const fs::path& folder) {
  const auto file = folder / kModel;
  if (fs::exists(file) && !is_tiktoken_file(file)) return file;
  throw DataError({.who = folder.string(),
                   .found = !fs::is_directory(folder) ? "no such folder"
                            : fs::exists(file)        ? "a tokenizer.model of tiktoken"
                                                      : "no tokenizer.model",
                   .expected = "the tokenizer.model of a SentencePiece vocabulary, the one form that pieces can be put behind",
                   .remedy = "only models of such families (LLaMA 1 and 2, Mistral, Baichuan, InternLM, ChatGLM2) are extended"});
}

std::string extension_bytes(const fs::path& file) {
  if (!fs::is_directory(file)) return read_text_file(file);
  throw DataError({.who = file.string(),
                   .found = "a folder",
                   .expected = "the file of a SentencePiece model",
                   .remedy = fs::exists(file / kModel) ? "name " + (file / kModel).string() : ""});
}

// A model without its dummy prefix: what a piece is made of has no blank before it.
std::unique_ptr<Tokenizer> bare(const std::string& name, std::string_view bytes) {
  TokenizerSettings settings{.form = TokenizerForm::kSentencePiece, .family = &tokenizer_family("", TokenizerForm::kSentencePiece)};
  settings.has_config = true;  // no special tokens: pieces are text
  settings.legacy = false;
  settings.add_bos = false;
  settings.add_prefix_space = false;
  return make_sentencepiece_tokenizer(name, bytes, settings);
}

// Tokens whose ids files claim behind the pieces; those that the class alone puts there can move.
void refuse_added_tokens(const fs::path& folder, const TokenizerSettings& settings, std::int64_t pieces, std::int64_t behind) {
  const auto refuse = [&](const std::string& found) {
    throw DataError({.who = folder.string(),
                     .found = found + fmt::format(" behind the {} pieces of its tokenizer.model", pieces),
                     .expected = "none: new pieces come in their place",
                     .remedy = "extend the tokenizer without them, and add them after that"});
  };
  if (behind > 0) refuse(fmt::format("{} tokens added", behind));
  if (settings.added.empty() || settings.added.rbegin()->first < pieces) return;
  refuse(
      fmt::format("a configuration that gives '{}' the id {},", settings.added.rbegin()->second.content, settings.added.rbegin()->first));
}

void refuse_other_blanks(const SentencePieceModel& old, const SentencePieceModel& more, const fs::path& extension) {
  if (old.blank_behind == more.blank_behind && old.escape_blanks == more.escape_blanks) return;
  const auto words = [](const SentencePieceModel& m) {
    return !m.escape_blanks ? "blanks as they are" : m.blank_behind ? "▁ behind words" : "▁ before words";
  };
  throw DataError({.who = extension.string(),
                   .found = fmt::format("pieces with {}", words(more)),
                   .expected = fmt::format("{}, as the vocabulary that is extended has them: others would be found in no text", words(old)),
                   .remedy = "train the second model with the options of the first (treat_whitespace_as_suffix, escape_whitespaces)"});
}

void refuse_user_defined(const std::vector<std::string>& pieces, const fs::path& extension) {
  if (pieces.empty()) return;
  throw DataError(
      {.who = extension.string(),
       .found = fmt::format("{} like '{}'", plural(static_cast<std::int64_t>(pieces.size()), "new user-defined piece"), pieces.front()),
       .expected = "pieces of text alone: a user-defined one is never split, whatever stands around it",
       .remedy = "train the second model without user_defined_symbols"});
}

}  // namespace

ExtendedVocabulary extend_vocabulary(const fs::path& folder, const fs::path& extension) {
  const auto file = model_to_extend(folder);
  ExtendedVocabulary result{.model = read_text_file(file)};
  const auto old = parse(file, result.model);
  const auto more = parse(extension, extension_bytes(extension));
  const auto splitter = bare(file.string(), result.model);
  const auto settings = read_tokenizer_settings(folder, TokenizerForm::kSentencePiece);
  const auto appended = static_cast<TokenId>(appended_tokens(*settings.family).size());
  const auto tokenizer = load_tokenizer(folder);  // by its tokenizer.json where it has one: that may know of more tokens
  result.old_pieces = static_cast<std::int64_t>(old.pieces.size());
  result.old_tokens = tokenizer->vocab_size();
  refuse_added_tokens(folder, settings, result.old_pieces, result.old_tokens - result.old_pieces - appended);
  refuse_other_blanks(old, more, extension);

  std::unordered_set<std::string> known;
  for (const auto& piece : old.pieces) known.insert(piece.text);
  std::vector<std::string> user_defined;
  for (const auto& piece : more.pieces) {
    const bool text = piece.type == Type::kNormal || piece.type == Type::kUserDefined;
    if (!text || !known.insert(piece.text).second) continue;
    if (piece.type == Type::kUserDefined) user_defined.push_back(piece.text);
    result.model += piece_message({.text = piece.text, .score = 0, .type = Type::kNormal});
    auto ids = splitter->encode(piece.text, false);
    if (ids.empty()) ids.push_back(tokenizer->unk.value_or(0));
    result.old_ids.push_back(std::move(ids));
    result.pieces.push_back(piece.text);
  }
  refuse_user_defined(user_defined, extension);
  if (result.pieces.empty())
    throw DataError({.who = extension.string(),
                     .found = "no piece that the tokenizer of " + folder.string() + " lacks",
                     .expected = "new pieces",
                     .remedy = "leave the extension out if the model has been extended by it already"});
  for (TokenId i = 0; i < appended; ++i) result.old_ids.push_back({static_cast<TokenId>(result.old_pieces) + i});

  const auto extended = bare(extension.string(), result.model);
  for (std::size_t i = 0; i < result.pieces.size(); ++i)
    result.unreached +=
        extended->encode(result.pieces[i], false) != std::vector{static_cast<TokenId>(result.old_pieces + static_cast<std::int64_t>(i))};
  return result;
}

std::unique_ptr<Tokenizer> make_extended_tokenizer(const ExtendedVocabulary& vocabulary, const fs::path& folder) {
  return make_sentencepiece_tokenizer((folder / kModel).string() + ", extended", vocabulary.model,
                                      read_tokenizer_settings(folder, TokenizerForm::kSentencePiece));
}

void save_extended(const ExtendedVocabulary& vocabulary, const fs::path& folder, const fs::path& target) {
  write_file_atomically(target / kModel, vocabulary.model);
  for (const auto& file : tokenizer_files(folder)) {
    const auto name = file.filename();
    if (name != kModel && name != "tokenizer.json") write_file_atomically(target / name, read_file(file));
  }
}

}  // namespace herd
