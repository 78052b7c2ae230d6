#pragma once
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/record.h"
#include "data/template/encode.h"
#include "data/tokenizer/tokenizer.h"
#include "infer/request.h"
#include "runtime/base/provenance.h"

namespace herd {

/// The template to put instructions with: the one asked for (another than training's only warns), else training's, as `stored` beside
/// the weights names it. @param tokenizer which may have one of its own. @param where the folder, for errors.
/// @throws ConfigError where neither names one; DataError where training's is unknown here or writes another text today.
std::shared_ptr<const Template> choose_template(const std::string& asked_for, const Tokenizer& tokenizer, const std::optional<Provenance>& stored, const std::string& where);

/// @throws DataError where training stored the fingerprint of another tokenizer.
void check_tokenizer(const Tokenizer& tokenizer, const std::optional<Provenance>& stored, const std::string& where);

/// A record through a template, as training put it; the answer to its last question is not read. @param raw leaves what the template puts around an answer.
Prompt instruction_prompt(const Tokenizer& tokenizer, const PieceEncoder& encoder, const Template& t, const Record& record, bool raw = false);
/// Text to go on from, as it is, with the tokenizer's own special tokens (LLaMA: bos in front).
Prompt text_prompt(const Tokenizer& tokenizer, std::string_view text);

/// The runs of ids that `word` is within a text, for SamplingOptions::bad_words: with and without the spaces around it, where tokens hold those.
/// Other tokens may spell it too. @throws ConfigError for a word without ids.
std::vector<std::vector<TokenId>> word_ids(const PieceEncoder& encoder, std::string_view word);

/// Ids that end a text: the tokenizer's (eos, and what ends a turn in its family's chats), and those of the folder's generation_config.json or else config.json (one or a list).
/// @throws IoError where such a file is no JSON object, ConfigError where its eos_token_id is no id.
std::vector<TokenId> end_tokens(const Tokenizer& tokenizer, const std::filesystem::path& model_folder);

}  // namespace herd
