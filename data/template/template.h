#pragma once
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data/template/form.h"
#include "runtime/base/registry.h"

namespace herd {

class ChatTemplate;

/// How a turn of the model reads: `header` is put before it and not learnt, `text` and `end` are what it writes, `after` parts it from the next turn.
struct ModelTurn {
  Form header, text, end, after;
  Form last_end;  ///< in place of `end` in the last turn; empty: the same
  bool known() const { return !text.empty(); }
  bool operator==(const ModelTurn&) const = default;
};

/// The pieces of a conversation.
struct Conversation {
  Form begin;       ///< in front of everything; left out where it names {system} and there is none
  Form first_user;  ///< in place of `user` in the first turn; likewise
  Form user, tool;
  ModelTurn assistant, thought, call;
  bool operator==(const Conversation&) const = default;
};

/// How records read as text, as a file of configs/templates says it. Training and generation put the same text.
struct Template {
  std::string name, description, source;
  std::string system;             ///< where the record has none of its own
  bool special = true;            ///< whether the tokenizer adds its own special tokens around the text (LLaMA: bos in front)
  bool one_answer = false;        ///< an answer can only stand last (GLM: what stands before it is seen both ways): an example an answer
  std::int64_t first_round = 1;   ///< what {round} counts from
  std::vector<std::string> stop;  ///< text that ends an answer besides `end`
  Conversation several, single, with_input;  ///< of several questions, of one, of one with an input
  std::string text;               ///< the file itself, where it is none of herd's own
  std::shared_ptr<const ChatTemplate> program{};  ///< a tokenizer's own chat template, in place of the pieces (chat_template.h); null for all others
  std::string fingerprint;        ///< hash of all of the above but description and source: the same text, the same fingerprint

  /// The pieces that fit a record. @param rounds how many questions it asks.
  const Conversation& of(std::int64_t rounds, bool has_input) const { return rounds > 1 ? several : has_input ? with_input : single; }
};

/// The templates that herd brings along, by name.
const Table<Template>& templates();

/// A template of that name, or the one in that file (`*.yaml`, keys as in configs/templates).
/// @throws ConfigError for an unknown name (with the nearest), or with file and line for what is wrong in a file.
std::shared_ptr<const Template> find_template(const std::string& name_or_file);

/// What data.template calls the tokenizer's own chat template, and what it is stored as (chat_template.h).
inline constexpr const char *kTokenizersTemplate = "tokenizer", *kChatTemplate = "chat_template";
bool is_template_file(const std::string& name_or_file);

/// @param text of a template's file. @param place for errors.
Template parse_template(const std::string& name, const std::string& text, const std::string& place);

}  // namespace herd
