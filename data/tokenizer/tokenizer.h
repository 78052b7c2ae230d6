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

/// Text to ids and back, exactly as the model's own tokenizer does it.
/// Thread-safe: encode and decode may be called from several threads at once.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  /// Ids of `text` (UTF-8). With `add_special`, what the tokenizer's own configuration adds around a single text (LLaMA: bos in front).
  /// @throws DataError where the text is not UTF-8, with the byte offset.
  virtual std::vector<TokenId> encode(std::string_view text, bool add_special = true) const = 0;

  /// Text of `ids`, as Hugging Face's `decode(ids, skip_special_tokens=…, clean_up_tokenization_spaces=False)`.
  virtual std::string decode(std::span<const TokenId> ids, bool skip_special = true) const = 0;

  /// Number of ids, added tokens included: the greatest id + 1.
  virtual std::int64_t vocab_size() const = 0;
  virtual std::optional<TokenId> token_to_id(std::string_view token) const = 0;
  virtual std::string id_to_token(TokenId id) const = 0;

  std::optional<TokenId> bos, eos, pad, unk;
  /// Hash of what decides the ids (the tokenizer's files), to recognise the same tokenizer again.
  std::string fingerprint;
};

/// The tokenizer of a Hugging Face folder: `tokenizer.json` where present, else `tokenizer.model` (SentencePiece);
/// special tokens and add_bos/add_eos from `tokenizer_config.json` and `special_tokens_map.json`.
/// @throws DataError naming the folder and what was looked for, or the file and what is wrong with it.
std::unique_ptr<Tokenizer> load_tokenizer(const std::filesystem::path& folder);

}  // namespace herd
