#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "data/tokenizer/tokenizer.h"

namespace herd {

/// In what files a tokenizer comes.
enum class TokenizerForm {
  kJson,           ///< tokenizer.json
  kSentencePiece,  ///< tokenizer.model of SentencePiece
  kIceText,        ///< the same, named ice_text.model: ChatGLM-6B's
  kTiktoken,       ///< lines of "base64 rank": tokenizer.model of LLaMA-3, qwen.tiktoken
  kVocabMerges,    ///< vocab.json and merges.txt
};

/// Special tokens behind a vocabulary's own: one name, or names numbered from `first` to `last` in place of its "{}".
struct AppendedTokens {
  std::string_view name;
  int first = 0, last = 0;
};

/// What the tokenizer class of a family does that its files do not say: one row a class. The configuration's own keys go before it.
struct TokenizerFamily {
  std::string_view name;                     ///< tokenizer_class without the ending "Fast"
  std::string_view bos{}, eos{}, unk{}, pad{};  ///< where the configuration has no such key
  bool add_bos = true;
  bool frames = false;                       ///< puts bos and eos around a text by add_bos and add_eos, whatever tokenizer.json says
  std::string_view split{};                  ///< byte-level forms without a tokenizer.json: how text is split into words, …
  bool nfc = false;                          ///< … and whether it is normalised before
  std::size_t ranks = 0;                     ///< a tiktoken file of so many ranks is of this family
  std::vector<AppendedTokens> appended{};
  bool appended_in_text = true;              ///< looked for in texts; else only an id (ChatGLM's)
  std::vector<std::string_view> before{}, after{};  ///< special tokens around a single text, where not bos and eos
  bool blank_tokens = false;                 ///< line ends, tabs and runs of blanks have tokens of their own (blank_tokens.h)
  bool llama_blanks = false;                 ///< decode drops the first blank and obeys `legacy` and `add_prefix_space`, as LlamaTokenizer
  bool only_pieces = false;                  ///< decode never shows special tokens (ChatGLM's)
  std::int64_t image_tokens = 0;             ///< ids before the first piece, where the configuration says nothing
  PaddingSide padding = PaddingSide::kRight;
  std::vector<std::string_view> turn_ends{};  ///< tokens that end an answer in a chat
};

/// The row of `tokenizer_class`; where it names none, or one that says nothing for this form, what the form itself tells.
/// @param model_name `name_or_path` of the configuration: ChatGLM2 and ChatGLM3 differ in nothing else. @param ranks of a tiktoken file.
const TokenizerFamily& tokenizer_family(std::string_view tokenizer_class, TokenizerForm form, std::string_view model_name = {},
                                        std::size_t ranks = 0);

/// `appended`, written out.
std::vector<std::string> appended_tokens(const TokenizerFamily& family);

}  // namespace herd
