#include "data/format/belle.h"

#include "data/format/alpaca_lines.h"
#include "data/format/json_objects.h"
#include "data/format/text_output.h"

namespace herd {

std::int64_t format_belle(const BelleRequest& request) {
  std::int64_t count = 0;
  write_text(request.output, request.files, [&](TextOutput& out) {
    for (const auto& file : request.files) {
      for_each_object(file, [&](const JsonObject& object) {
        const auto input = object.text_or("input", "");
        Record record;
        record.turns = {{.role = Role::kUser, .text = object.text("instruction") + (input.empty() ? "" : request.between + input)},
                        {.role = Role::kAssistant, .text = object.text("output")}};
        out.line(conversation_line(record, request.name + "-" + std::to_string(++count)));
      });
    }
  });
  return count;
}

}  // namespace herd
