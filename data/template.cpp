#include "data/template.h"

#include "runtime/base/text.h"

namespace herd {
namespace {

// Stanford Alpaca's text as Alpaca-CoT trains it: the prompt ends at the colon and a space parts it from the answer.
// Alpaca-CoT also writes a space before the end of sequence; it carries nothing and is left out (docs/decisions/prompt-boundary.md).
std::string alpaca_prompt(const Record& record) {
  const bool has_input = !record.turns.at(0).input.empty();
  std::string text = "Below is an instruction that describes a task";
  if (has_input) text += ", paired with an input that provides further context";
  text += ". Write a response that appropriately completes the request.\n\n### Instruction:\n" + record.turns[0].text;
  if (has_input) text += "\n\n### Input:\n" + record.turns[0].input;
  return text + "\n\n### Response:";
}

std::string spaced_answer(const Record& record) { return record.turns.at(1).text.empty() ? "" : " " + record.turns[1].text; }

std::string without_leading_space(std::string_view generated) {
  if (generated.starts_with(' ')) generated.remove_prefix(1);
  return std::string(generated);
}

}  // namespace

const Table<Template>& templates() {
  static const Table<Template> table{
      "template",
      {
          {"alpaca",
           {.description = "Stanford Alpaca, as Alpaca-CoT trains it: ### Instruction, ### Input where there is one, ### Response",
            .prompt = alpaca_prompt,
            .answer = spaced_answer,
            .output = without_leading_space}},
      }};
  return table;
}

std::string template_fingerprint(std::string_view name) {
  const auto& entry = templates().at(name);
  std::string text(name);
  for (const char* input : {"", "{input}"}) {
    const auto probe = instruction_record("{instruction}", input, "{output}");
    for (const auto& part : {entry.prompt(probe), entry.answer(probe)}) text += '\0' + part;
  }
  return fingerprint(text);
}

}  // namespace herd
