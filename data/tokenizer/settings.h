#pragma once
#include <array>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "data/tokenizer/added_tokens.h"
#include "data/tokenizer/families.h"

namespace herd {

/// What stands beside the vocabulary in a Hugging Face folder: `tokenizer_config.json`, `special_tokens_map.json`, `added_tokens.json`.
/// Read as transformers does: the last two only where the first has no `added_tokens_decoder`.
struct TokenizerSettings {
  bool has_config = false;      ///< there is a tokenizer_config.json
  TokenizerForm form = TokenizerForm::kJson;
  const TokenizerFamily* family = nullptr;  ///< never null once read
  PaddingSide padding_side = PaddingSide::kRight;
  std::int64_t image_tokens = 0;  ///< ids before the first piece (ChatGLM-6B's older files)
  bool add_bos = true, add_eos = false, legacy = true;
  std::optional<bool> add_prefix_space;
  std::map<TokenId, AddedToken> added;  ///< by the id they claim
  std::optional<AddedToken> bos, eos, unk, pad;
  std::vector<AddedToken> specials;  ///< the named ones and the additional ones, in transformers' order

  bool is_special(std::string_view content) const;
};

/// @param ranks of a tiktoken file, which tell its family. @throws DataError naming the file and what is wrong with it.
TokenizerSettings read_tokenizer_settings(const std::filesystem::path& folder, TokenizerForm form, std::size_t ranks = 0);

}  // namespace herd
