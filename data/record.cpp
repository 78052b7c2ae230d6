#include "data/record.h"

#include <fmt/format.h>

namespace herd {

Record instruction_record(std::string instruction, std::string input, std::string output, Source source) {
  Record out;
  out.turns = {{.role = Role::kUser, .text = std::move(instruction), .input = std::move(input)}, {.role = Role::kAssistant, .text = std::move(output)}};
  out.source = source;
  return out;
}

const char* role_name(Role role) {
  switch (role) {
    case Role::kUser: return "user";
    case Role::kAssistant: return "assistant";
    case Role::kThought: return "thought";
    case Role::kCall: return "call";
    case Role::kTool: return "tool";
    case Role::kText: return "text";
  }
  return "";
}

std::string content_of(const Record& record) {
  std::string out = record.system;
  for (const auto& turn : record.turns) {
    out += fmt::format("\x1e{}{}\x1f", static_cast<int>(turn.role), turn.supervised ? *turn.supervised ? "+" : "-" : "");
    out += turn.text + '\x1f' + turn.input;
  }
  return record.rejected.empty() ? out : out + "\x1erejected\x1f" + record.rejected;
}

std::string describe(const Source& source, std::span<const std::string> files) {
  return fmt::format("{}:{} (record {})", files[source.file], source.line, source.record);
}

}  // namespace herd
