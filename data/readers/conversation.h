#pragma once
#include <string_view>
#include <utility>
#include <vector>

#include "data/readers/format.h"

// What the readers of conversations share.
namespace herd {

/// `category` (or `class`), `language` (or `lang`), `weight` and `system`, where the record has them.
void read_about(const Fields& fields, Record& record);

/// Appends what a list of messages holds, {from, value} or {role, content}; a system message becomes the record's.
void read_messages(const Json& list, Record& record);
/// The same of one of them, the `number`-th, from 1.
void read_message(const Json& message, std::size_t number, Record& record);

/// Appends pairs of a question and its answer: `[[question, answer], …]`.
void read_history(const Fields& fields, Record& record);

/// @throws RecordFault where the user does not begin, or somebody speaks where somebody else must
void check_order(const std::vector<Turn>& turns);

/// What stands behind each `Human:` and `Assistant:` at the beginning of the text or of a line, where Human begins and the two alternate;
/// else nothing.
std::vector<std::string_view> between_markers(std::string_view text);

/// Whether an instruction is a dialogue, as Alpaca-CoT and BELLE write them: it ends with an `Assistant:` that is still to be answered.
bool holds_dialogue(std::string_view instruction);

/// The turns of an instruction and its response, and of those that airoboros embeds in either: `</s> USER: … ASSISTANT: …`.
/// @throws RecordFault for a USER without an ASSISTANT
std::vector<Turn> embedded_turns(std::string_view instruction, std::string_view response);

/// Without white space at either end.
std::string_view trimmed_text(std::string_view text);

}  // namespace herd
