#include <fmt/format.h>

#include <algorithm>

#include "data/format/airoboros.h"
#include "runtime/base/error.h"

namespace herd {
namespace {

DataError mistake(std::string found, std::string expected) {
  return DataError({.who = "a chat of characters", .found = std::move(found), .expected = std::move(expected), .remedy = ""});
}

bool is_character(const CharacterChat& chat, const std::string& name) {
  return std::ranges::count(chat.characters, name, &Character::name) > 0;
}

void check(const CharacterChat& chat) {
  if (chat.characters.size() < 2) throw mistake(fmt::format("{} of them", chat.characters.size()), "at least two");
  for (const auto& [name, description] : chat.characters) {
    if (name.empty() || name.find_first_of(":\n") != std::string::npos)
      throw mistake(fmt::format("the name '{}'", name), "a name without colon or line end");
    if (std::ranges::count(chat.characters, name, &Character::name) > 1)
      throw mistake(fmt::format("'{}' twice", name), "names that differ");
  }
  if (!is_character(chat, chat.user)) throw mistake(fmt::format("the user plays '{}'", chat.user), "one of the characters");
  for (const auto& line : chat.lines)
    if (!is_character(chat, line.name)) throw mistake(fmt::format("'{}' speaks", line.name), "one of the characters");
}

std::string spoken(const CharacterChat::Line& line) { return line.name + ": " + line.text; }

std::string introduction(const CharacterChat& chat) {
  std::string others, text = "A conversation of several characters.\n\nCharacters:\n";
  for (const auto& [name, description] : chat.characters) {
    text += fmt::format("{}: {}\n", name, description);
    if (name != chat.user) others += (others.empty() ? "" : ", ") + name;
  }
  if (!chat.scene.empty()) text += fmt::format("\nScene:\n{}\n", chat.scene);
  return text + fmt::format("\nThe user speaks as {}. Answer as {}, each line with its speaker's name.", chat.user, others);
}

}  // namespace

Record character_record(const CharacterChat& chat) {
  check(chat);
  Record record;
  record.system = introduction(chat);
  const auto first = std::ranges::find(chat.lines, chat.user, &CharacterChat::Line::name);
  if (first != chat.lines.begin() && first != chat.lines.end()) record.system += "\n\nSo far:";
  for (auto line = chat.lines.begin(); line != first; ++line) record.system += "\n" + spoken(*line);
  for (auto line = first; line != chat.lines.end(); ++line) {
    const auto role = line->name == chat.user ? Role::kUser : Role::kAssistant;
    if (!record.turns.empty() && record.turns.back().role == role) record.turns.back().text += "\n" + spoken(*line);
    else record.turns.push_back({.role = role, .text = spoken(*line)});
  }
  if (!record.turns.empty() && record.turns.back().role == Role::kUser) record.turns.pop_back();
  if (record.turns.empty()) throw mistake(fmt::format("nobody answers {}", chat.user), "lines of the others after the user's");
  return record;
}

}  // namespace herd
