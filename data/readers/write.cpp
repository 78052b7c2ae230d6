#include "data/readers/write.h"

#include <algorithm>

#include "data/readers/conversation.h"
#include "data/readers/json_record.h"
#include "runtime/base/file.h"

namespace herd {
namespace {

bool plain_pair(const Record& record) {
  const auto& turns = record.turns;
  return turns.size() == 2 && turns[0].role == Role::kUser && turns[1].role == Role::kAssistant && turns[1].input.empty() &&
         !turns[0].supervised && !turns[1].supervised && record.rejected.empty() && !holds_dialogue(turns[0].text);
}

void put(Json& object, const char* name, const std::string& text) {
  if (!text.empty()) object[name] = text;
}

Json message_of(const Turn& turn) {
  Json message{{"role", role_name(turn.role)}, {"content", turn.text}};
  put(message, "input", turn.input);
  if (turn.supervised) message["train"] = *turn.supervised;
  return message;
}

}  // namespace

WrittenAs written_as(std::span<const Record> records) {
  return std::all_of(records.begin(), records.end(), plain_pair) ? WrittenAs::kInstructions : WrittenAs::kMessages;
}

std::string record_line(const Record& record, WrittenAs as) {
  Json object;
  if (as == WrittenAs::kInstructions) {
    object = {{"instruction", record.turns[0].text}, {"input", record.turns[0].input}, {"output", record.turns[1].text}};
    put(object, "system", record.system);
  } else {
    auto& messages = object["messages"] = Json::array();
    if (!record.system.empty()) messages.push_back({{"role", "system"}, {"content", record.system}});
    for (const auto& turn : record.turns) messages.push_back(message_of(turn));
    put(object, "rejected", record.rejected);
  }
  put(object, "category", record.category);
  put(object, "language", record.language);
  if (record.weight != 1) object["weight"] = record.weight;
  return object.dump();
}

void write_records(std::ostream& out, std::span<const Record> records) {
  const auto as = written_as(records);
  for (const auto& record : records) out << record_line(record, as) << '\n';
}

void write_records(const std::filesystem::path& path, std::span<const Record> records) {
  constexpr std::size_t kPiece = std::size_t{1} << 20;
  const auto as = written_as(records);
  write_file_atomically(path, [&](File& file) {
    std::string held;
    for (const auto& record : records) {
      held += record_line(record, as) + '\n';
      if (held.size() < kPiece) continue;
      file.write(held);
      held.clear();
    }
    file.write(held);
  });
}

}  // namespace herd
