#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace herd {

using TokenId = std::int32_t;

/// What an id is to `decode`.
enum class TokenRole {
  kNone,     ///< no token: decodes to nothing
  kText,     ///< a piece of text
  kByte,     ///< one byte of the SentencePiece style's byte fallback: its text depends on the bytes beside it
  kSpecial,  ///< a special token: skipped by `decode(…, skip_special = true)`
};

/// On which side rows of a batch are filled up.
enum class PaddingSide { kRight, kLeft };

/// Text to ids and back, exactly as the model's own tokenizer does it.
/// Thread-safe: encode and decode may be called from several threads at once.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  /// Ids of `text` (UTF-8). With `add_special`, what the tokenizer's own configuration adds around a single text (LLaMA: bos in front).
  /// @throws DataError where the text is not UTF-8, with the byte offset (`replace_invalid_utf8` in data/tokenizer/utf8.h mends it).
  virtual std::vector<TokenId> encode(std::string_view text, bool add_special = true) const = 0;

  /// Text of `ids`, as Hugging Face's `decode(ids, skip_special_tokens=…, clean_up_tokenization_spaces=False)`.
  /// Ids past the vocabulary decode to nothing, as there (models pad their vocabulary).
  /// @throws DataError for a negative id: labels hold those, texts do not.
  virtual std::string decode(std::span<const TokenId> ids, bool skip_special = true) const = 0;

  /// Number of ids, added tokens included: the greatest id + 1.
  virtual std::int64_t vocab_size() const = 0;
  virtual std::optional<TokenId> token_to_id(std::string_view token) const = 0;
  /// @throws DataError where there is no such id.
  virtual std::string id_to_token(TokenId id) const = 0;
  virtual TokenRole role(TokenId id) const { return id >= 0 && id < vocab_size() ? TokenRole::kText : TokenRole::kNone; }

  std::optional<TokenId> bos, eos, pad, unk;
  /// Ids other than eos that end an answer in the family's chats (Qwen's <|im_end|>), those that the vocabulary has.
  std::vector<TokenId> turn_ends;
  PaddingSide padding_side = PaddingSide::kRight;
  /// Where it was loaded from; empty: nowhere.
  std::filesystem::path folder;
  /// Hash of what decides the ids (the vocabulary's file and the settings beside it), to recognise the same tokenizer again.
  std::string fingerprint;
};

/// The tokenizer of a Hugging Face folder, in the first of the forms that is there: `tokenizer.json`; `tokenizer.model`
/// (SentencePiece, or LLaMA-3's tiktoken file of that name); `ice_text.model` (ChatGLM-6B); `*.tiktoken` (Qwen);
/// `vocab.json` with `merges.txt` (GPT-2, MOSS, Qwen2).
/// Special tokens, add_bos/add_eos and padding side come from `tokenizer_config.json`, `special_tokens_map.json` and `added_tokens.json`;
/// what a family's class adds to them is in `data/tokenizer/families.cpp`.
/// @throws DataError naming the folder and what was looked for, or the file and what is wrong with it.
std::unique_ptr<Tokenizer> load_tokenizer(const std::filesystem::path& folder);

/// The files of `folder` that belong to its tokenizer, to copy beside a model that is written elsewhere.
std::vector<std::filesystem::path> tokenizer_files(const std::filesystem::path& folder);
/// Whether a file of that name in a folder would be one of them.
bool is_tokenizer_file(const std::string& name);

/// Text of a growing list of ids, special tokens skipped: releases only what later ids cannot change,
/// so that all that was released, joined, equals `decode(all ids)`.
class StreamDecoder {
 public:
  explicit StreamDecoder(const Tokenizer& tokenizer) : tokenizer_(&tokenizer) {}
  /// The text that `id` completes: whole characters, often empty.
  std::string push(TokenId id);
  /// The rest: what a character cut off in the middle decodes to.
  std::string finish();

 private:
  std::string release(bool all);

  const Tokenizer* tokenizer_;
  std::vector<TokenId> window_;     // ids of the last settled segment, as context, and of the growing one
  std::size_t context_ = 0;         // how many of them are context
  std::size_t released_bytes_ = 0;  // of the window's text: the context's and what is out already
};

}  // namespace herd
