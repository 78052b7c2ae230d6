#include "infer/dialogue.h"

#include <algorithm>

#include "data/readers/conversation.h"
#include "data/readers/fault.h"
#include "data/readers/formats.h"
#include "data/readers/write.h"
#include "runtime/base/error.h"

namespace herd {

void Dialogue::ask(std::string question) { turns_.push_back({.role = Role::kUser, .text = std::move(question)}); }

void Dialogue::answer(std::string text) { turns_.push_back({.role = Role::kAssistant, .text = std::move(text)}); }

std::optional<std::string> Dialogue::undo() {
  if (!reopen()) return std::nullopt;
  auto question = std::move(turns_.back().text);
  turns_.pop_back();
  return question;
}

bool Dialogue::reopen() {
  if (!turns_.empty() && !open()) turns_.pop_back();
  return open();
}

Record Dialogue::record(std::size_t from) const {
  Record record{.system = system, .turns = {}};
  record.turns.assign(turns_.begin() + static_cast<std::ptrdiff_t>(std::min(2 * from, turns_.size())), turns_.end());
  return record;
}

std::size_t Dialogue::first_that_fits(const std::function<std::int64_t(const Record&)>& tokens, std::int64_t most, std::size_t from) const {
  while (from + 1 < rounds() && tokens(record(from)) > most) ++from;
  return from;
}

std::string Dialogue::json() const { return record_line(record(0), WrittenAs::kMessages); }

Dialogue Dialogue::parse(std::string_view json, const std::string& place) {
  try {
    require_text(json);
    Parsed parsed;
    read_openai(parse_json(json), parsed);
    auto& record = parsed.records.at(0);
    for (const auto& turn : record.turns)
      if (turn.role != Role::kUser && turn.role != Role::kAssistant)
        throw RecordFault{.found = std::string("a turn of the role '") + role_name(turn.role) + "'",
                          .expected = "turns of user and assistant"};
    Dialogue dialogue;
    dialogue.system = std::move(record.system);
    dialogue.turns_ = std::move(record.turns);
    return dialogue;
  } catch (const RecordFault& fault) {
    throw DataError({.who = place, .found = fault.found, .expected = fault.expected, .remedy = fault.remedy});
  }
}

}  // namespace herd
