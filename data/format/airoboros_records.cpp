#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "data/format/airoboros.h"
#include "data/format/alpaca_lines.h"
#include "data/format/json_objects.h"
#include "data/format/text_output.h"
#include "data/readers/conversation.h"
#include "data/readers/fault.h"

namespace herd {
namespace {

using Json = nlohmann::ordered_json;

JsonObject part(const Json& value, const JsonObject& whole, const char* what) {
  if (!value.is_object()) throw whole.error(fmt::format("{} as {}", kind_of(value), what), "an object");
  return JsonObject(value, whole.place());
}

std::vector<std::pair<std::string, std::string>> metadata_of(const JsonObject& block) {
  std::vector<std::pair<std::string, std::string>> metadata;
  const auto* found = block.find("metadata", "an object");
  if (!found) return metadata;
  for (const auto& [key, value] : found->items()) {
    if (!value.is_string()) throw block.error(fmt::format("{} in metadata '{}'", kind_of(value), key), "a string");
    metadata.emplace_back(key, value.get<std::string>());
  }
  return metadata;
}

Record closed_record(const JsonObject& object, const Json& list) {
  std::vector<ContextBlock> blocks, cited;
  for (const auto& item : list) {
    const auto block = part(item, object, "a block");
    blocks.push_back({.metadata = metadata_of(block), .text = block.text("text")});
  }
  if (const auto* cite = object.find("cite", "an array")) {
    for (const auto& number : *cite) {
      if (!number.is_number_integer() || number < 1 || number > blocks.size())
        throw object.error("cite " + number.dump(), fmt::format("a block's number, from 1 to {}", blocks.size()));
      cited.push_back(blocks[number.get<std::size_t>() - 1]);
    }
  }
  return instruction_record(closed_context(blocks, object.text("instruction")), {}, with_sources(object.text("response"), cited));
}

Record characters_record(const JsonObject& object) {
  CharacterChat chat{.scene = object.text_or("scene", ""), .user = object.text("user"), .characters = {}, .lines = {}};
  for (const auto& item : object.at("characters", "an array")) {
    const auto character = part(item, object, "a character");
    chat.characters.push_back({.name = character.text("name"), .description = character.text("description")});
  }
  for (const auto& item : object.at("lines", "an array")) {
    const auto line = part(item, object, "a line");
    chat.lines.push_back({.name = line.text("name"), .text = line.text("text")});
  }
  return character_record(chat);
}

Record record_of(const JsonObject& object, AiroborosCount& count) {
  if (object.find("characters", "an array")) {
    ++count.characters;
    return characters_record(object);
  }
  if (const auto* blocks = object.find("blocks", "an array")) {
    ++count.closed_context;
    return closed_record(object, *blocks);
  }
  if (object.flag("plain")) {
    ++count.plain;
    return instruction_record(plain_format(object.text("instruction")), {}, code_alone(object.text("response")));
  }
  Record record;
  record.turns = embedded_turns(object.text("instruction"), object.text("response"));
  ++(record.turns.size() > 2 ? count.multi_turn : count.single);
  return record;
}

/// What a form finds wrong, with the record that has it.
Record placed(const JsonObject& object, AiroborosCount& count) {
  try {
    return record_of(object, count);
  } catch (const DataError& error) {
    auto complaint = error.complaint();
    if (complaint.who == object.place()) throw;
    complaint.who = object.place() + ": " + complaint.who;
    throw DataError(std::move(complaint));
  } catch (const RecordFault& fault) {
    throw object.error(fault.found, fault.expected, fault.remedy);
  }
}

}  // namespace

AiroborosCount format_airoboros(const std::vector<std::filesystem::path>& files, const std::filesystem::path& output,
                                const std::string& name) {
  AiroborosCount count;
  std::int64_t number = 0;
  write_text(output, files, [&](TextOutput& out) {
    for (const auto& file : files) {
      for_each_object(file, [&](const JsonObject& object) {
        auto record = placed(object, count);
        record.category = object.text_or("category", "");
        out.line(conversation_line(record, fmt::format("{}-{}", name, ++number)));
      });
    }
  });
  return count;
}

}  // namespace herd
