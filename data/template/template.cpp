#include "data/template/template.h"

#include <fmt/format.h>

#include "data/embedded.h"
#include "runtime/base/config.h"
#include "runtime/base/file.h"

namespace herd {
namespace {

// A template's file as it stands; forms are parsed once it is read.
struct TurnText {
  std::string header, text, end, after;
  std::string last_end;
};
struct ConversationText {
  std::string begin, first_user, user, tool;
  TurnText assistant, thought, call;
};
struct TemplateText {
  std::string description, source, system;
  bool special = true, one_answer = false;
  std::int64_t first_round = 1;
  std::vector<std::string> stop;
  ConversationText pieces;
};

void describe(Schema& s, TurnText& o) {
  s.field("header", o.header, "what is put before the turn; not learnt");
  s.field("text", o.text, "the turn itself, with {text}; learnt");
  s.field("end", o.end, "what ends it; learnt");
  s.field("last_end", o.last_end, "what ends the last turn, where that is something else than `end`; learnt");
  s.field("after", o.after, "what stands between it and the next turn; not learnt");
}

void describe(Schema& s, TemplateText& o) {
  s.field("description", o.description, "whose template it is");
  s.field("source", o.source, "where its text comes from");
  s.field("system", o.system, "the system text of records that have none");
  s.field("special_tokens", o.special, "whether the tokenizer adds its own special tokens around the text (LLaMA: bos in front)");
  s.field("one_answer", o.one_answer, "an answer can only stand last, so a conversation becomes an example an answer");
  s.field("first_round", o.first_round, "what {round} counts from").range(0, 1);
  s.field("stop", o.stop, "text that ends an answer besides its end");
  s.field("begin", o.pieces.begin, "in front of everything; left out where it names {system} and there is none");
  s.field("first_user", o.pieces.first_user, "the first question, where it is put otherwise; likewise left out");
  s.field("user", o.pieces.user, "a question, with {text} and perhaps {input}");
  s.field("tool", o.pieces.tool, "what a tool answers");
  s.section("assistant", o.pieces.assistant, "an answer");
  s.section("thought", o.pieces.thought, "what the model thinks before it calls a tool");
  s.section("call", o.pieces.call, "a tool's call");
}

ModelTurn turn_of(const TurnText& text) { return {Form(text.header), Form(text.text), Form(text.end), Form(text.after), Form(text.last_end)}; }

Conversation conversation_of(const ConversationText& text) {
  return {Form(text.begin), Form(text.first_user), Form(text.user), Form(text.tool), turn_of(text.assistant), turn_of(text.thought), turn_of(text.call)};
}

TemplateText read(const ConfigNode& node) {
  TemplateText out;
  Schema schema;
  describe(schema, out);
  schema.load(node);
  return out;
}

/// `entries` without the variants, and the variants by name.
ConfigNode take_variant(ConfigNode& node, std::string_view name) {
  for (auto entry = node.items.begin(); entry != node.items.end(); ++entry) {
    if (entry->key != name) continue;
    auto variant = std::move(*entry);
    node.items.erase(entry);
    return variant;
  }
  return ConfigNode::map();
}

void check(const Template& t, const std::string& place) {
  const auto require = [&](bool good, const char* found, const char* expected) {
    if (!good) throw ConfigError({.who = place, .found = found, .expected = expected, .remedy = ""});
  };
  for (const auto* pieces : {&t.several, &t.single, &t.with_input}) {
    require(pieces->user.has("text") && (pieces->first_user.empty() || pieces->first_user.has("text")), "a question without {text}", "'user' with {text}");
    for (const auto* turn : {&pieces->assistant, &pieces->thought, &pieces->call})
      require(!turn->known() || turn->text.has("text"), "a turn of the model without {text}", "'text' with {text}");
    require(pieces->assistant.known(), "no answer", "'assistant: {text: \"{text}\", …}'");
    require(!pieces->assistant.end.empty(), "an answer without an end", "'end', such as \"{eos}\": a model that never learns an end never stops");
  }
}

std::string fingerprint_of(const Template& t) {
  std::string bytes = fmt::format("{} {} {}\n{}\n", t.special, t.one_answer, t.first_round, t.system);
  const auto add = [&](const Form& form) {
    for (const auto& part : form.parts()) bytes += (part.is_slot ? '\1' : '\2') + part.text;
    bytes += '\0';
  };
  for (const auto* pieces : {&t.several, &t.single, &t.with_input}) {
    for (const auto* form : {&pieces->begin, &pieces->first_user, &pieces->user, &pieces->tool}) add(*form);
    for (const auto* turn : {&pieces->assistant, &pieces->thought, &pieces->call})
      for (const auto* form : {&turn->header, &turn->text, &turn->end, &turn->after, &turn->last_end}) add(*form);
  }
  return fingerprint(bytes);
}

std::vector<std::pair<std::string, Template>> all_embedded() {
  std::vector<std::pair<std::string, Template>> out;
  for (const auto& [name, text] : embedded_templates()) out.emplace_back(name, parse_template(name, text, "configs/templates/" + std::string(name) + ".yaml"));
  return out;
}

}  // namespace

Template parse_template(const std::string& name, const std::string& text, const std::string& place) {
  auto several = parse_yaml(text, {.source = place});
  if (!several.is_map()) throw ConfigError({.who = place, .found = "no keys", .expected = "a template: 'user', 'assistant', …", .remedy = ""});
  auto single_over = take_variant(several, "single"), input_over = take_variant(several, "with_input");
  auto single = several;
  merge_config(single, std::move(single_over));
  auto with_input = single;
  merge_config(with_input, std::move(input_over));

  const auto read_all = read(several);
  Template out{.name = name, .description = read_all.description, .source = read_all.source, .system = read_all.system,
               .special = read_all.special, .one_answer = read_all.one_answer, .first_round = read_all.first_round, .stop = read_all.stop};
  try {
    out.several = conversation_of(read_all.pieces);
    out.single = conversation_of(read(single).pieces);
    out.with_input = conversation_of(read(with_input).pieces);
  } catch (const ConfigError& error) {  // of a form, or of a key: those know their place
    auto complaint = error.complaint();
    if (!complaint.who.starts_with(place)) complaint.who = place + ": " + complaint.who;
    throw ConfigError(complaint);
  }
  check(out, place);
  out.fingerprint = fingerprint_of(out);
  return out;
}

const Table<Template>& templates() {
  static const Table<Template> table("template", all_embedded());
  return table;
}

bool is_template_file(const std::string& name_or_file) { return name_or_file.ends_with(".yaml") || name_or_file.ends_with(".yml"); }

std::shared_ptr<const Template> find_template(const std::string& name_or_file) {
  if (!is_template_file(name_or_file)) return {&templates().at(name_or_file), [](const Template*) {}};
  const std::filesystem::path file(name_or_file);
  auto text = read_file(file);
  auto out = std::make_shared<Template>(parse_template(file.stem().string(), text, file.string()));
  out->text = std::move(text);
  return out;
}

}  // namespace herd
