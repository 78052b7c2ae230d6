#include "infer/instruct/instructor.h"

#include <algorithm>
#include <filesystem>
#include <functional>
#include <set>

#include "runtime/base/config.h"
#include "runtime/base/file.h"
#include "runtime/base/text.h"

namespace herd {

namespace fs = std::filesystem;

static void describe(Schema& s, PlaceChoices& o) {
  s.field("place", o.place, "a place of the prompt, without braces");
  s.field("of", o.of, "texts of which each request takes one");
}

static void describe(Schema& s, AnswerLabels& o) {
  s.field("system", o.system, "the word before the colon of a record's system text");
  s.field("metadata", o.metadata, "of lines `key: value` about a passage");
  s.field("instruction", o.instruction, "of an instruction");
  s.field("input", o.input, "of what the instruction works on");
  s.field("output", o.output, "of the answer");
  s.field("user", o.user, "or of a user's turn in a conversation");
  s.field("assistant", o.assistant, "and of the model's");
  s.field("nothing", o.nothing, "what an input says where there is none");
}

static void describe(Schema& s, LengthBounds& o) {
  s.field("shortest_instruction", o.shortest_instruction, "words, or characters of Chinese").at_least(0);
  s.field("longest_instruction", o.longest_instruction, "0: any").at_least(0);
  s.field("shortest_output", o.shortest_output, "of each answer").at_least(0);
  s.field("longest_output", o.longest_output, "0: any").at_least(0);
}

static void describe(Schema& s, Instructor& o) {
  using Form = Instructor::Form;
  s.field("description", o.description, "what it makes");
  s.field("source", o.source, "whose idea it is");
  s.field("language", o.language, "of its records: EN, CN, …; empty: told by their letters");
  s.field("prompt", o.prompt, "what is asked; places {batch}, {topics}, {examples}, {next} and those of `choices`");
  s.field("example", o.example, "one of {examples}; places {number}, {instruction}, {input}, {output}");
  s.field("answer_prompt", o.answer_prompt, "asks for each answer apart; places {instruction}, {input}");
  s.field("batch", o.batch, "instructions that a prompt asks for").range(1, 100);
  s.field("topics", o.topics, "topics in a prompt").range(0, 100);
  s.field("examples", o.examples, "seed tasks in a prompt").range(0, 100);
  s.list("choices", o.choices, "place", "places that each request fills with one of several texts");
  s.section("labels", o.labels, "the words before the colon that parts of an answer stand behind");
  s.choice("form", o.form, {{"plain", Form::kPlain}, {"closed_context", Form::kClosedContext}, {"code_alone", Form::kCodeAlone}},
           "what becomes of instruction, input and output");
  s.field("cite", o.cite, "answers from a closed context end with its metadata");
  s.section("bounds", o.bounds, "lengths");
  s.field("forbidden", o.forbidden, "words that no instruction and no input may have");
  s.field("temperature", o.temperature, "of the model").range(0, 2);
  s.field("top_p", o.top_p, "of the model; null: the service's own").range(0, 1);
  s.field("max_tokens", o.max_tokens, "longest reply").at_least(1);
  s.field("stop", o.stop, "text that ends a reply");
}

namespace {

bool of_a_name(char c) { return (c >= 'a' && c <= 'z') || c == '_'; }

/// Calls `see` with each piece of text, and whether it is a place's name.
template <class See>
void for_each_piece(std::string_view text, const See& see) {
  std::size_t begin = 0;
  for (auto open = text.find('{'); open != text.npos; open = text.find('{', open + 1)) {
    const auto close = text.find('}', open);
    if (close == text.npos) break;
    const auto name = text.substr(open + 1, close - open - 1);
    if (name.empty() || !std::ranges::all_of(name, of_a_name)) continue;
    see(text.substr(begin, open - begin), false);
    see(name, true);
    begin = close + 1;
    open = close;
  }
  see(text.substr(begin), false);
}

std::set<std::string> places_of(std::string_view text) {
  std::set<std::string> out;
  for_each_piece(text, [&](std::string_view piece, bool place) {
    if (place) out.emplace(piece);
  });
  return out;
}

using Refuse = std::function<void(const std::string& key, const std::string& found, const std::string& expected)>;

void check_places(const char* key, const std::string& text, std::vector<std::string> known, const Refuse& refuse) {
  for (const auto& place : places_of(text))
    if (std::ranges::find(known, place) == known.end()) refuse(key, "the place {" + place + "}", "one of " + join(known));
}

void check_labels(const Instructor& o, const Refuse& refuse) {
  const auto& labels = o.labels;
  if (labels.user.empty() != labels.assistant.empty()) refuse("labels", "one of 'user' and 'assistant'", "both, or neither");
  if (labels.instruction.empty() != o.of_turns())
    refuse("labels", o.of_turns() ? "'instruction' beside 'user'" : "no 'instruction'", "'instruction', or 'user' and 'assistant'");
  if (o.of_turns() && labels.system.empty()) refuse("labels", "no 'system'", "one, which a conversation begins with");
  if (o.of_turns() && o.in_two_steps()) refuse("answer_prompt", "of conversations", "instructions");
  if (!o.of_turns() && !o.in_two_steps() && labels.output.empty()) refuse("labels", "no 'output'", "one, or an 'answer_prompt'");
  if (o.form == Instructor::Form::kClosedContext && labels.input.empty()) refuse("labels", "no 'input'", "one, for the passage");
  if (o.cite && o.in_two_steps()) refuse("cite", "beside 'answer_prompt'", "one of the two");
  if (o.cite && (labels.metadata.empty() || o.form != Instructor::Form::kClosedContext))
    refuse("cite", "true", "a form closed_context and labels.metadata");
}

void check(const Instructor& o, const std::string& place) {
  const Refuse refuse = [&](const std::string& key, const std::string& found, const std::string& expected) {
    throw ConfigError({.who = place + ": '" + key + "'", .found = found, .expected = expected, .remedy = ""});
  };
  if (o.prompt.empty()) refuse("prompt", "nothing to ask", "a text");
  std::vector<std::string> known{"batch", "topics", "examples", "next"};
  for (const auto& choice : o.choices) {
    if (choice.of.empty()) refuse("choices", "nothing to take for {" + choice.place + "}", "texts in 'of'");
    known.push_back(choice.place);
  }
  check_places("prompt", o.prompt, known, refuse);
  check_places("example", o.example, {"number", "instruction", "input", "output"}, refuse);
  check_places("answer_prompt", o.answer_prompt, {"instruction", "input"}, refuse);
  const auto used = places_of(o.prompt);
  if (used.contains("topics") != (o.topics > 0))
    refuse("topics", std::to_string(o.topics), "1 or more where the prompt has {topics}, else 0");
  if (used.contains("examples") != (o.examples > 0))
    refuse("examples", std::to_string(o.examples), "1 or more where the prompt has {examples}, else 0");
  if (o.examples > 0 && o.example.empty()) refuse("example", "none", "the form of one of {examples}");
  check_labels(o, refuse);
}

}  // namespace

Instructor parse_instructor(const std::string& name, const std::string& text, const std::string& place) {
  Instructor instructor;
  instructor.name = name;
  Schema schema;
  describe(schema, instructor);
  const auto node = parse_yaml(text, {.source = place});
  if (!node.is_map())
    throw ConfigError({.who = place, .found = "no keys", .expected = "an instructor: 'prompt', 'labels', …", .remedy = ""});
  schema.load(node);
  check(instructor, place);
  instructor.fingerprint = fingerprint(text);
  return instructor;
}

Table<Instructor> shipped_instructors() {
  std::map<std::string, Instructor> found;
  for (const auto& folder : config_folders()) {
    std::error_code none_here;
    for (const auto& entry : fs::directory_iterator(folder / "instructors", none_here)) {
      const auto name = entry.path().stem().string();
      if (entry.path().extension() == ".yaml" && !found.contains(name))
        found.emplace(name, parse_instructor(name, read_file(entry.path()), entry.path().string()));
    }
  }
  return {"kind", {found.begin(), found.end()}};
}

Instructor find_instructor(const std::string& name_or_file) {
  const fs::path path(name_or_file);
  if (path.extension() != ".yaml" && path.extension() != ".yml") return shipped_instructors().at(name_or_file);
  return parse_instructor(path.stem().string(), read_file(path), name_or_file);
}

std::string fill_places(std::string_view text, const std::map<std::string, std::string>& values, const std::string& who) {
  std::string out;
  for_each_piece(text, [&](std::string_view piece, bool place) {
    if (!place) return void(out += piece);
    const auto value = values.find(std::string(piece));
    if (value == values.end())
      throw ConfigError({.who = who, .found = "the place {" + std::string(piece) + "}", .expected = "one that has a value", .remedy = ""});
    out += value->second;
  });
  return out;
}

}  // namespace herd
