#include "infer/prompt.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "data/template/chat_template.h"
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

std::shared_ptr<const Template> choose_template(const std::string& asked_for, const Tokenizer& tokenizer, const std::optional<Provenance>& stored, const std::string& where) {
  const auto trained_with = stored ? stored->template_name : std::string();
  if (!asked_for.empty()) {
    const auto asked = template_for(asked_for, tokenizer);
    if (!trained_with.empty() && stored->template_fingerprint != asked->fingerprint)
      log_warning("{} was trained with the template '{}'; prompting it with '{}'", where, trained_with, asked_for);
    return asked;
  }
  const auto remedy = "name one: --template " + templates().names().front();
  if (trained_with.empty())
    throw ConfigError({.who = where,
                       .found = "no herd.json that names a template",
                       .expected = "the one that it was trained with",
                       .remedy = remedy + ", or give plain text: --prompt"});
  if (!stored->template_text.empty())  // of the user's own: it lies beside the weights
    return std::make_shared<Template>(parse_template(trained_with, stored->template_text, where + "/herd.json: template_text"));
  const bool tokenizers = trained_with == kChatTemplate;
  if (!tokenizers && !templates().find(trained_with))
    throw DataError({.who = where,
                     .found = "trained with the template '" + trained_with + "'",
                     .expected = "one of " + join(templates().names()),
                     .remedy = remedy});
  const auto known = tokenizers ? template_for(kTokenizersTemplate, tokenizer) : find_template(trained_with);
  if (stored->template_fingerprint != known->fingerprint)
    throw DataError({.who = where,
                     .found = "trained with a template '" + trained_with + "' of fingerprint " + stored->template_fingerprint,
                     .expected = known->fingerprint + ", which " + (tokenizers ? "the tokenizer given" : "this herd's '" + trained_with + "'") + " has",
                     .remedy = "the prompts would differ from training's; to go on, name it: --template " + (tokenizers ? kTokenizersTemplate : trained_with)});
  return known;
}

void check_tokenizer(const Tokenizer& tokenizer, const std::optional<Provenance>& stored, const std::string& where) {
  if (!stored || stored->tokenizer_fingerprint.empty() || stored->tokenizer_fingerprint == tokenizer.fingerprint) return;
  throw DataError({.who = where,
                   .found = "trained with a tokenizer of fingerprint " + stored->tokenizer_fingerprint,
                   .expected = tokenizer.fingerprint + ", which the tokenizer given has",
                   .remedy = "give the folder of training's tokenizer: --tokenizer"});
}

Prompt instruction_prompt(const Tokenizer& tokenizer, const PieceEncoder& encoder, const Template& t, const Record& record, bool raw) {
  auto pieces = render_prompt(t, record);
  if (t.one_answer)
    for (auto& piece : pieces) piece.written = false;  // what stands before the answer is one stretch, as in training
  Prompt prompt{.ids = encoder(pieces, t.special).ids, .stop = t.stop};
  const auto frame = answer_frame(t, rounds_of(record), has_input(record));
  for (const auto& end : frame.ends) {
    const auto id = tokenizer.token_to_id(end);
    if (id && tokenizer.role(*id) == TokenRole::kSpecial) prompt.ends.push_back(*id);
    else prompt.stop.push_back(end);
  }
  if (!raw) prompt.output = [frame](std::string_view written) { return frame.answer(written); };
  return prompt;
}

Prompt text_prompt(const Tokenizer& tokenizer, std::string_view text) { return {.ids = tokenizer.encode(text, true)}; }

std::vector<std::vector<TokenId>> word_ids(const PieceEncoder& encoder, std::string_view word) {
  std::vector<std::vector<TokenId>> runs;
  for (const auto* before : {" ", ""})
    for (const auto* after : {"", " "}) {
      auto ids = word.empty() ? std::vector<TokenId>() : encoder.within(fmt::format("{}{}{}", before, word, after));
      if (ids.empty()) throw ConfigError({.who = "bad-word", .found = fmt::format("'{}'", word), .expected = "a word that has tokens", .remedy = ""});
      // What goes on from a run that is there never comes anyway: `word`, ` ` after `word`.
      const auto begins = [&](const auto& run) { return std::ranges::mismatch(run, ids).in1 == run.end(); };
      if (std::ranges::none_of(runs, begins)) runs.push_back(std::move(ids));
    }
  return runs;
}

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
