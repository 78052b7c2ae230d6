#include "infer/prompt.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "data/formatter.h"
#include "data/template.h"
#include "runtime/base/error.h"
#include "runtime/base/file.h"
#include "runtime/base/log.h"

namespace herd {
namespace {

namespace fs = std::filesystem;

/// eos_token_id of a hub's JSON file; nothing where there is no such file or key.
std::vector<TokenId> eos_ids(const fs::path& file) {
  if (!fs::exists(file)) return {};
  const auto json = nlohmann::json::parse(read_file(file), nullptr, false);
  if (!json.is_object())
    throw IoError({.who = file.string(), .found = "no JSON object", .expected = "a Hugging Face config", .remedy = ""});
  if (!json.contains("eos_token_id") || json["eos_token_id"].is_null()) return {};
  const auto& value = json["eos_token_id"];
  std::vector<TokenId> ids;
  for (const auto& id : value.is_array() ? value : nlohmann::json::array({value})) {
    if (!id.is_number_integer())
      throw ConfigError({.who = file.string() + ": 'eos_token_id'",
                         .found = value.dump().substr(0, 60),
                         .expected = "an id or a list of ids",
                         .remedy = ""});
    if (id.get<std::int64_t>() >= 0) ids.push_back(id.get<TokenId>());  // some files say -1 for none
  }
  return ids;
}

}  // namespace

std::string choose_template(const std::string& asked_for, const std::optional<Provenance>& stored, const std::string& where) {
  const auto trained_with = stored ? stored->template_name : std::string();
  if (!asked_for.empty()) {
    templates().at(asked_for);
    if (!trained_with.empty() && trained_with != asked_for)
      log_warning("{} was trained with the template '{}'; prompting it with '{}'", where, trained_with, asked_for);
    return asked_for;
  }
  const auto remedy = "name one: --template " + templates().names().front();
  if (trained_with.empty())
    throw ConfigError({.who = where,
                       .found = "no herd.json that names a template",
                       .expected = "the one that it was trained with",
                       .remedy = remedy + ", or give plain text: --prompt"});
  if (!templates().find(trained_with))
    throw DataError({.who = where,
                     .found = "trained with the template '" + trained_with + "'",
                     .expected = "one of " + join(templates().names()),
                     .remedy = remedy});
  if (const auto today = template_fingerprint(trained_with); stored->template_fingerprint != today)
    throw DataError({.who = where,
                     .found = "trained with a template '" + trained_with + "' of fingerprint " + stored->template_fingerprint,
                     .expected = today + ", which this herd's '" + trained_with + "' has",
                     .remedy = "the prompts would differ from training's; to go on, name it: --template " + trained_with});
  return trained_with;
}

void check_tokenizer(const Tokenizer& tokenizer, const std::optional<Provenance>& stored, const std::string& where) {
  if (!stored || stored->tokenizer_fingerprint.empty() || stored->tokenizer_fingerprint == tokenizer.fingerprint) return;
  throw DataError({.who = where,
                   .found = "trained with a tokenizer of fingerprint " + stored->tokenizer_fingerprint,
                   .expected = tokenizer.fingerprint + ", which the tokenizer given has",
                   .remedy = "give the folder of training's tokenizer: --tokenizer"});
}

Prompt instruction_prompt(const Tokenizer& tokenizer, std::string_view template_name, const Record& record, bool raw) {
  const auto& entry = templates().at(template_name);
  return {.ids = encode_prompt(tokenizer, entry.prompt(record)), .output = raw ? nullptr : entry.output};
}

Prompt text_prompt(const Tokenizer& tokenizer, std::string_view text) { return {.ids = encode_prompt(tokenizer, text)}; }

std::vector<TokenId> end_tokens(const Tokenizer& tokenizer, const fs::path& model_folder) {
  auto ids = eos_ids(model_folder / "generation_config.json");
  if (ids.empty()) ids = eos_ids(model_folder / "config.json");
  auto own = tokenizer.turn_ends;
  if (tokenizer.eos) own.push_back(*tokenizer.eos);
  for (const auto id : own)
    if (std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(id);
  return ids;
}

}  // namespace herd
