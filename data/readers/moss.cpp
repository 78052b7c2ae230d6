#include <fmt/format.h>

#include <charconv>

#include "data/readers/conversation.h"
#include "data/readers/fault.h"
#include "data/readers/formats.h"

namespace herd {
namespace {

struct Piece {
  const char* field;
  std::string_view begin, end;
  Role role;
  bool needed;
};

constexpr Piece kPieces[] = {{"Human", "<|Human|>:", "<eoh>", Role::kUser, true},
                             {"Inner Thoughts", "<|Inner Thoughts|>:", "<eot>", Role::kThought, false},
                             {"Commands", "<|Commands|>:", "<eoc>", Role::kCall, false},
                             {"Tool Responses", "<|Results|>:", "<eor>", Role::kTool, false},
                             {"MOSS", "<|MOSS|>:", "<eom>", Role::kAssistant, true}};

std::string bare(std::string_view text, const Piece& piece) {
  text = trimmed_text(text);
  if (text.starts_with(piece.begin)) text.remove_prefix(piece.begin.size());
  if (text.ends_with(piece.end)) text.remove_suffix(piece.end.size());
  return std::string(trimmed_text(text));
}

void read_turn(const Json& value, const std::string& name, Record& record) {
  const Fields fields(value, "the fields 'Human' and 'MOSS'", name);
  for (const auto& piece : kPieces) {
    if (!piece.needed && !fields.has(piece.field)) continue;
    auto text = bare(fields.text(piece.field), piece);
    // Where no tool is in play, the pieces in between say so by this word.
    if (!piece.needed && (text.empty() || text == "None" || text == "None.")) continue;
    record.turns.push_back({.role = piece.role, .text = std::move(text)});
  }
}

/// A number, which some files write as text.
std::optional<std::size_t> turns_promised(const Fields& fields) {
  const auto text = fields.word_or_empty("num_turns");
  std::size_t count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (text.empty()) return std::nullopt;
  if (error != std::errc() || end != text.data() + text.size()) fields.wrong("num_turns", "a number of turns");
  return count;
}

void read_chat(const Fields& fields, Record& record) {
  const auto& chat = fields.at("chat");
  const Fields turns(chat, "turn_1, turn_2, …", "field 'chat'");
  std::size_t count = 0;
  for (; turns.has(fmt::format("turn_{}", count + 1)); ++count)
    read_turn(turns.at(fmt::format("turn_{}", count + 1)), fmt::format("turn_{}", count + 1), record);
  const auto promised = turns_promised(fields).value_or(chat.size());
  if (count != promised || count != chat.size())
    throw RecordFault{.found = fmt::format("{} of {} turns in field 'chat': turn_1 to turn_{}", chat.size(), promised, count),
                      .expected = "turn_1, turn_2, … as many as 'num_turns' says"};
}

/// moss-002-sft: `[Human]: …<eoh> [MOSS]: …<eoa> [Human]: …`
void read_plain_text(std::string_view text, Record& record) {
  constexpr std::pair<std::string_view, std::string_view> kSpeakers[] = {{"[Human]:", "<eoh>"}, {"[MOSS]:", "<eoa>"}};
  constexpr std::string_view kOtherEnd = "<eom>";
  for (text = trimmed_text(text); !text.empty(); text = trimmed_text(text)) {
    const bool human = record.turns.size() % 2 == 0;
    const auto& [begin, mark] = kSpeakers[human ? 0 : 1];
    const auto end = human ? text.find(mark) : std::min(text.find(mark), text.find(kOtherEnd));
    if (!text.starts_with(begin) || end == text.npos)
      throw RecordFault{.found = fmt::format("no {} … {} as turn {} of field 'plain_text'", begin, mark, record.turns.size() + 1),
                        .expected = "[Human]: …<eoh> [MOSS]: …<eoa> by turns"};
    record.turns.push_back(
        {.role = human ? Role::kUser : Role::kAssistant, .text = std::string(trimmed_text(text.substr(begin.size(), end - begin.size())))});
    text.remove_prefix(end + mark.size());
  }
}

}  // namespace

void read_moss(const Json& object, Parsed& out) {
  const Fields fields(object, "the field 'chat', or 'plain_text'");
  Record record;
  fields.has("plain_text") && !fields.has("chat") ? read_plain_text(fields.text("plain_text"), record) : read_chat(fields, record);
  check_order(record.turns);
  read_about(fields, record);
  for (const auto* name : {"meta_instruction", "prefix"})
    if (record.system.empty()) record.system = fields.text_or_empty(name);
  out.records.push_back(std::move(record));
}

}  // namespace herd
