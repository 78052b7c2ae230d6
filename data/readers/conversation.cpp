#include "data/readers/conversation.h"

#include <fmt/format.h>

#include <cmath>

#include "data/readers/fault.h"
#include "runtime/base/text.h"

namespace herd {
namespace {

const char* name_of(Role role) {
  switch (role) {
    case Role::kUser: return "the user";
    case Role::kAssistant: return "the assistant";
    case Role::kThought: return "a thought";
    case Role::kCall: return "a call of a tool";
    case Role::kTool: return "a tool";
    case Role::kText: return "a text";
  }
  return "";
}

bool may_follow(Role role, Role before) {
  const bool models_own = role == Role::kAssistant || role == Role::kThought || role == Role::kCall;
  switch (before) {
    case Role::kUser: return models_own;
    case Role::kThought: return models_own;
    case Role::kCall: return models_own || role == Role::kTool || role == Role::kUser;
    case Role::kTool: return models_own || role == Role::kTool;
    case Role::kAssistant: return role == Role::kUser;
    case Role::kText: return false;
  }
  return false;
}

constexpr std::string_view kEnd = "</s>", kUser = "USER:", kAssistant = "ASSISTANT:";

/// Where the next `</s> USER:` stands, and behind it.
std::pair<std::size_t, std::size_t> next_user(std::string_view text) {
  for (auto at = text.find(kEnd); at != text.npos; at = text.find(kEnd, at + 1)) {
    const auto behind = text.find_first_not_of(" \t\r\n", at + kEnd.size());
    if (behind != text.npos && text.substr(behind).starts_with(kUser)) return {at, behind + kUser.size()};
  }
  return {text.npos, text.npos};
}

std::string_view without_end(std::string_view text) {
  text = trimmed_text(text);
  if (text.ends_with(kEnd)) text.remove_suffix(kEnd.size());
  return trimmed_text(text);
}

void add_pair(std::vector<Turn>& turns, std::string_view question, std::string_view answer) {
  turns.push_back({.role = Role::kUser, .text = std::string(question)});
  turns.push_back({.role = Role::kAssistant, .text = std::string(answer)});
}

/// `question ASSISTANT: answer </s> USER: question ASSISTANT: answer …`
void add_exchanges(std::vector<Turn>& turns, std::string_view text) {
  for (;;) {
    const auto [end, behind] = next_user(text);
    const auto exchange = text.substr(0, end);
    const auto answer = exchange.find(kAssistant);
    if (answer == exchange.npos)
      throw RecordFault{.found = "a turn of USER: without one of ASSISTANT: after it",
                        .expected = "the two by turns, as airoboros writes them"};
    add_pair(turns, trimmed_text(exchange.substr(0, answer)), without_end(exchange.substr(answer + kAssistant.size())));
    if (end == text.npos) return;
    text.remove_prefix(behind);
  }
}

}  // namespace

void read_about(const Fields& fields, Record& record) {
  record.category = fields.word_or_empty(fields.has("category") ? "category" : "class");
  record.language = fields.word_or_empty(fields.has("language") ? "language" : "lang");
  record.weight = fields.number("weight").value_or(1);
  if (!std::isfinite(record.weight) || record.weight < 0)
    throw RecordFault{.found = fmt::format("the weight {}", record.weight),
                      .expected = "a number from 0 on: how often an epoch shows the record"};
  const auto& system = fields.text_or_empty("system");
  if (!system.empty() && !record.system.empty())
    throw RecordFault{.found = "a field 'system' and a system message", .expected = "one of the two"};
  if (!system.empty()) record.system = system;
}

void read_history(const Fields& fields, Record& record) {
  if (!fields.has("history")) return;
  const auto& history = fields.list("history");
  for (std::size_t i = 0; i < history.size(); ++i) {
    const auto& pair = history[i];
    if (!pair.is_array() || pair.size() != 2 || !pair[0].is_string() || !pair[1].is_string())
      throw RecordFault{.found = fmt::format("something else in field 'history', at {}", i + 1),
                        .expected = "pairs of a question and an answer, each a string"};
    record.turns.push_back({.role = Role::kUser, .text = pair[0]});
    record.turns.push_back({.role = Role::kAssistant, .text = pair[1]});
  }
}

void check_order(const std::vector<Turn>& turns) {
  const std::string expected = "turns of the user and the assistant, one after the other";
  if (turns.empty()) throw RecordFault{.found = "no turn", .expected = expected};
  if (turns.front().role == Role::kText && turns.size() == 1) return;
  if (turns.front().role != Role::kUser)
    throw RecordFault{.found = fmt::format("a conversation that {} begins", name_of(turns.front().role)),
                      .expected = "one that the user begins"};
  for (std::size_t i = 1; i < turns.size(); ++i) {
    const auto role = turns[i].role, before = turns[i - 1].role;
    if (may_follow(role, before)) continue;
    throw RecordFault{.found = role == before
                                   ? fmt::format("two turns of {} in a row (turns {} and {})", name_of(role), i, i + 1)
                                   : fmt::format("a turn of {} after one of {} (turn {})", name_of(role), name_of(before), i + 1),
                      .expected = expected};
  }
}

std::string_view trimmed_text(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n";
  const auto first = text.find_first_not_of(kBlank);
  return first == text.npos ? std::string_view() : text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

std::vector<std::string_view> between_markers(std::string_view text) {
  constexpr std::string_view kMarkers[] = {"Human:", "Assistant:"};
  std::vector<std::string_view> pieces;
  std::size_t piece_begin = 0;
  for (std::size_t line = 0; line < text.size();) {
    const auto content = std::min(text.find_first_not_of(" \t", line), text.size());
    const auto here = text.substr(content);
    const bool human = here.starts_with(kMarkers[0]);
    if (human || here.starts_with(kMarkers[1])) {
      if (human != (pieces.size() % 2 == 0)) return {};  // the marker that is about to open the next piece
      if (pieces.empty() && !trimmed_text(text.substr(0, line)).empty()) return {};
      if (!pieces.empty()) pieces.back() = trimmed_text(text.substr(piece_begin, line - piece_begin));
      piece_begin = content + kMarkers[human ? 0 : 1].size();
      pieces.push_back({});
    }
    const auto end = text.find('\n', line);
    line = end == text.npos ? text.size() : end + 1;
  }
  if (!pieces.empty()) pieces.back() = trimmed_text(text.substr(piece_begin));
  return pieces;
}

bool holds_dialogue(std::string_view instruction) {
  const auto pieces = between_markers(instruction);
  return !pieces.empty() && pieces.size() % 2 == 0 && pieces.back().empty();
}

std::vector<Turn> embedded_turns(std::string_view instruction, std::string_view response) {
  std::vector<Turn> turns;
  if (next_user(instruction).first != std::string_view::npos) {
    add_exchanges(turns, fmt::format("{} {} {}", instruction, kAssistant, response));
  } else if (const auto [end, behind] = next_user(response); end != std::string_view::npos) {
    add_pair(turns, instruction, without_end(response.substr(0, end)));
    add_exchanges(turns, response.substr(behind));
  } else {
    add_pair(turns, instruction, response);
  }
  return turns;
}

}  // namespace herd
