#include "data/listing.h"

#include <fmt/format.h>

#include <set>

#include "data/readers/file_facts.h"
#include "data/readers/format.h"
#include "data/template/render.h"
#include "data/template/template.h"
#include "runtime/base/error.h"
#include "runtime/base/text.h"
#include "runtime/report/text_table.h"

namespace herd {
namespace {

/// Where an entry's files are: `here`, `on the hub`, `not here`, or `unknown` where the catalogue names none.
std::string whereabouts(const CatalogueEntry& entry, const Catalogue& catalogue) {
  try {
    for (const auto& file : catalogue.files_of(entry))
      if (file.starts_with("hub:")) return "on the hub";
    return "here";
  } catch (const ConfigError&) {
    return entry.files.empty() && entry.hub.empty() ? "no files named" : "not here";
  }
}

/// Further lines of a text stand under its first.
std::string indented(const std::string& text, std::size_t by) {
  std::string out;
  for (const char c : text) {
    out += c;
    if (c == '\n') out += std::string(by, ' ');
  }
  return out;
}

std::string marked(const std::vector<TextPiece>& pieces, bool color) {
  std::string out;
  bool inside = false;
  const auto turn_to = [&](bool learnt) {
    if (learnt != inside) out += learnt ? (color ? "\033[1;32m" : "⟦") : (color ? "\033[0m" : "⟧");
    inside = learnt;
  };
  for (const auto& piece : pieces) {
    turn_to(piece.written);
    out += piece.is_eos ? "</s>" : piece.is_bos ? "<s>" : piece.text;
  }
  turn_to(false);
  return out;
}

Record sample_conversation() {
  Record out;
  out.turns = {{.role = Role::kUser, .text = "What is the capital of France?"},
               {.role = Role::kAssistant, .text = "Paris."},
               {.role = Role::kUser, .text = "And of Italy?"},
               {.role = Role::kAssistant, .text = "Rome."}};
  return out;
}

/// What a template does with a record; or why it does nothing.
std::string rendered(const Template& t, const Record& record, bool color) {
  try {
    return marked(render(t, record), color);
  } catch (const DataError& error) {
    return std::string("(") + error.what() + ")";
  }
}

}  // namespace

std::string catalogue_table(const Catalogue& catalogue, const std::string& tag) {
  std::vector<std::vector<std::string>> rows{{"alias", "records", "language", "task", "generation", "type", "licence", "files"}};
  std::set<std::string> tags;
  for (const auto& entry : catalogue.entries()) {
    tags.insert({entry.language, entry.task, entry.generation});
    if (!tag.empty() && !entry.has_tag(tag)) continue;
    rows.push_back({entry.alias, entry.records ? with_thousands(entry.records) : "", entry.language, entry.task, entry.generation,
                    entry.type, entry.licence, whereabouts(entry, catalogue)});
  }
  if (rows.size() > 1) return text_table(rows, "lrllllll");
  tags.erase("");
  const std::vector<std::string> known(tags.begin(), tags.end());
  throw ConfigError(
      {.who = "--tag", .found = "'" + tag + "', which no data set has", .expected = "a part of one of " + join(known), .remedy = ""});
}

std::string entry_text(const CatalogueEntry& entry, const Catalogue& catalogue) {
  std::vector<std::vector<std::string>> rows;
  const auto tell = [&](const char* what, const std::string& value) {
    if (!value.empty()) rows.push_back({what, value});
  };
  tell("alias", entry.alias);
  tell("title", entry.title);
  tell("records", entry.records ? with_thousands(entry.records) : "");
  tell("language", entry.language);
  tell("task", entry.task);
  tell("generation", entry.generation);
  tell("type", entry.type);
  tell("made by", entry.made_by);
  tell("licence", entry.licence);
  tell("get it from", entry.get);
  tell("form", entry.formatted);
  tell("format", entry.format);
  for (const auto& [ours, theirs] : entry.columns) tell("column", ours + ": " + theirs);
  tell("hub", entry.hub);
  tell("listed in", entry.place);
  try {
    for (const auto& file : catalogue.files_of(entry)) tell("file", file);
  } catch (const ConfigError& error) {
    for (const auto& file : entry.files) tell("file", file);
    tell("files", error.complaint().found);
  }
  return text_table(rows, "ll");
}

std::string file_text(const std::string& path, const ReadOptions& options, std::size_t records) {
  const auto facts = file_facts(path, options, records);
  const auto* format = record_formats().find(facts.format);
  std::vector<std::vector<std::string>> rows{{"file", path},
                                             {"format", facts.format + (format ? ": " + format->description : "")},
                                             {"records", with_thousands(facts.report.records)}};
  if (!facts.fields.empty()) rows.push_back({"fields", join(facts.fields)});
  if (facts.report.without_input)
    rows.push_back({"no input", with_thousands(facts.report.without_input) + " records have no field 'input'"});
  if (facts.report.broken) rows.push_back({"broken", with_thousands(facts.report.broken)});
  for (const auto& reason : facts.report.reasons) rows.push_back({"", reason});
  auto out = text_table(rows, "ll");
  for (const auto& record : facts.first) out += fmt::format("\n── {}\n{}", describe(record.source, std::vector{path}), record_text(record));
  return out;
}

std::string record_text(const Record& record) {
  std::string out;
  const auto tell = [&](const std::string& what, const std::string& text) {
    if (!text.empty()) out += fmt::format("{:<10}{}\n", what, indented(text, 10));
  };
  tell("system", record.system);
  for (const auto& turn : record.turns) {
    out += fmt::format("{:<10}{}\n", role_name(turn.role), indented(turn.text, 10));
    tell("  input", turn.input);
    if (turn.supervised) tell("  learn", *turn.supervised ? "yes" : "no");
  }
  tell("rejected", record.rejected);
  tell("category", record.category);
  tell("language", record.language);
  if (record.weight != 1) tell("weight", fmt::format("{:g}", record.weight));
  return out;
}

std::string formats_table() {
  std::vector<std::vector<std::string>> rows{{"format", "recognised by", "what it is"}};
  for (const auto& [name, format] : record_formats()) rows.push_back({name, format.looks_like, format.description});
  return text_table(rows, "lll");
}

std::string templates_table() {
  std::vector<std::vector<std::string>> rows{{"template", "what it is"}};
  for (const auto& [name, t] : templates()) rows.push_back({name, t.description});
  return text_table(rows, "ll");
}

std::string template_sample(const std::string& name_or_file, bool color) {
  const auto found = find_template(name_or_file);
  const auto& t = *found;
  std::vector<std::vector<std::string>> rows{{"template", t.name}, {"what it is", t.description}, {"source", t.source}};
  if (!t.stop.empty()) rows.push_back({"stops at", join(t.stop)});
  rows.push_back({"fingerprint", t.fingerprint});
  auto out = text_table(rows, "ll");
  out += "\n── one question, with an input\n" + rendered(t, instruction_record("Add the numbers.", "2 and 3", "5"), color);
  out += "\n\n── two questions\n" + rendered(t, sample_conversation(), color) + "\n";
  if (t.one_answer) out += "\n(an answer can only stand last: such a conversation becomes an example for each answer)\n";
  return out;
}

}  // namespace herd
