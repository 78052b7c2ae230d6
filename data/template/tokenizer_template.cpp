#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "data/template/chat_template.h"
#include "data/tokenizer/json_node.h"
#include "runtime/base/error.h"
#include "runtime/base/text.h"

namespace herd {
namespace {

namespace fs = std::filesystem;

/// `chat_template` of a JSON file: a text, or a list of {"name", "template"}. Empty where there is none.
std::string template_in(const fs::path& file, bool tools) {
  if (!fs::exists(file)) return "";
  JsonNode::Json storage;
  const auto root = JsonNode::parse(file, read_text_file(file), storage);
  if (!root.value().is_object()) root.complain(fmt::format("a JSON {}", root.value().type_name()), "an object");
  if (!root.has("chat_template")) return "";
  const auto given = root.at("chat_template");
  if (!given.value().is_array()) return given.text();
  std::string out;
  std::vector<std::string> names;
  for (const auto& one : given.items()) {
    names.push_back(one.at("name").text());
    if (names.back() == "default" && out.empty()) out = one.at("template").text();
    if (names.back() == "tool_use" && tools) return one.at("template").text();
  }
  if (out.empty()) given.complain("templates called " + join(names), "one called default");
  return out;
}

}  // namespace

ChatTokens chat_tokens(const Tokenizer& tokenizer) {
  const auto text = [&](const std::optional<TokenId>& id) { return id ? tokenizer.id_to_token(*id) : std::string(); };
  ChatTokens out{.bos = text(tokenizer.bos), .eos = text(tokenizer.eos), .unk = text(tokenizer.unk), .pad = text(tokenizer.pad), .ends = {}, .specials = {}};
  for (const auto id : tokenizer.turn_ends) out.ends.push_back(tokenizer.id_to_token(id));
  const auto size = static_cast<TokenId>(tokenizer.vocab_size());
  for (TokenId id = 0; id < size; ++id)
    if (tokenizer.role(id) == TokenRole::kSpecial) out.specials.push_back(tokenizer.id_to_token(id));
  return out;
}

std::string read_chat_template(const fs::path& folder, bool tools) {
  if (const auto file = folder / "chat_template.jinja"; fs::exists(file)) return read_text_file(file);
  for (const auto* name : {"tokenizer_config.json", "chat_template.json"})
    if (auto text = template_in(folder / name, tools); !text.empty()) return text;
  throw DataError({.who = folder.string(),
                   .found = "no chat template",
                   .expected = "chat_template.jinja, or 'chat_template' in tokenizer_config.json",
                   .remedy = "name a template of herd's own (`herd data templates`), or a file of that form: data.template=mine.yaml"});
}

std::shared_ptr<const Template> chat_template_of(std::string source, ChatTokens tokens) {
  const auto now = std::time(nullptr);
  std::tm here{};
  localtime_r(&now, &here);
  auto out = std::make_shared<Template>();
  out->name = kChatTemplate;
  out->description = "the tokenizer's own chat template";
  out->source = "chat_template of the tokenizer's folder";
  out->fingerprint = fingerprint(source + '\0' + tokens.bos + '\0' + tokens.eos);
  auto program = std::make_shared<const ChatTemplate>(std::move(source), std::move(tokens), here);
  out->special = false;  // as transformers: bos stands where the template writes it, and nowhere else
  out->program = std::move(program);
  return out;
}

std::shared_ptr<const Template> tokenizer_template(const fs::path& folder, const Tokenizer& tokenizer, bool tools) {
  return chat_template_of(read_chat_template(folder, tools), chat_tokens(tokenizer));
}

std::shared_ptr<const Template> template_for(const std::string& name, const Tokenizer& tokenizer) {
  return name == kTokenizersTemplate ? tokenizer_template(tokenizer.folder, tokenizer) : find_template(name);
}

}  // namespace herd
