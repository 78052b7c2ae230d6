#pragma once
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "data/record.h"

namespace herd {

/// A text to answer from, and what is known of it (date, url, author, …), in the order in which it is to be shown.
struct ContextBlock {
  std::vector<std::pair<std::string, std::string>> metadata;
  std::string text;
};

/// An instruction that is to be answered from the blocks alone, in airoboros' form: BEGININPUT, BEGINCONTEXT, …, ENDINSTRUCTION. A block
/// without metadata keeps its empty context.
/// @throws DataError: no block, a marker on a line of its own inside a text, a key that is empty or has a colon or line end, a value with a
///         line end.
std::string closed_context(std::span<const ContextBlock> blocks, std::string_view instruction);

/// The answer with the blocks that it rests on, each `Source:` and its metadata on the lines after it.
/// @throws DataError where a block has no metadata to cite.
std::string with_sources(std::string_view answer, std::span<const ContextBlock> cited);

/// The instruction, trimmed, with ` PLAINFORMAT` at its end, which asks for code and nothing else; once only.
std::string plain_format(std::string_view instruction);

/// What is inside the answer's fenced blocks (```), one after the other; the answer itself where it has none.
/// @throws DataError for a fence without its end.
std::string code_alone(std::string_view answer);

struct Character {
  std::string name, description;
};

/// Who says what. The person at the keyboard is `user`; the model is everybody else.
struct CharacterChat {
  std::string scene, user;
  std::vector<Character> characters;
  struct Line {
    std::string name, text;
  };
  std::vector<Line> lines;
};

/// The chat as a conversation. The system text names the characters and the scene. What the user's character says is the user's turn, what
/// the others say until then one turn of the model; every line begins `Name: `. What others say before the user's first line belongs to the
/// system text, and what the user says last, unanswered, is left out.
/// @throws DataError: fewer than two characters, a name twice or with a colon, a speaker that is no character, nothing that the model says.
Record character_record(const CharacterChat& chat);

struct AiroborosCount {
  std::int64_t single = 0, closed_context = 0, plain = 0, multi_turn = 0, characters = 0;
};

/// Writes files of JSON objects (docs/data-formats.md has the three forms) as conversation lines with ids NAME-1, NAME-2, ….
/// @throws DataError with file, line and record; for an output that is an input; IoError
AiroborosCount format_airoboros(const std::vector<std::filesystem::path>& files, const std::filesystem::path& output,
                                const std::string& name);

}  // namespace herd
