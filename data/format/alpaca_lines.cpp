#include "data/format/alpaca_lines.h"

#include <nlohmann/json.hpp>

namespace herd {
namespace {

using Json = nlohmann::ordered_json;

}  // namespace

std::string alpaca_line(const Record& record, const ExtraFields& extra) {
  Json line{{"instruction", record.turns.at(0).text}, {"input", record.turns.at(0).input}, {"output", record.turns.at(1).text}};
  if (!record.category.empty()) line["category"] = record.category;
  for (const auto& [name, value] : extra) line[name] = value;
  return line.dump();
}

std::string conversation_line(const Record& record, std::string_view id) {
  Json line{{"id", id}};
  if (!record.system.empty()) line["system"] = record.system;
  if (!record.category.empty()) line["category"] = record.category;
  auto& turns = line["conversations"] = Json::array();
  for (const auto& turn : record.turns) turns.push_back({{"from", turn.role == Role::kUser ? "human" : "assistant"}, {"value", turn.text}});
  return line.dump();
}

}  // namespace herd
