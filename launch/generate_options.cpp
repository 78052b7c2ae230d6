#include "launch/generate_options.h"

#include <CLI/CLI.hpp>
#include <filesystem>

#include "launch/command_line.h"

namespace herd {

void GenerateOptions::validate() {
  const int ways = (prompt ? 1 : 0) + (instruction ? 1 : 0) + (file.empty() ? 0 : 1);
  if (ways != 1)
    refuse_arguments(ways ? "more than one of --prompt, --instruction and --file" : "nothing to answer", "one of --prompt, --instruction and --file");
  if (!input.empty() && !instruction) refuse_arguments("--input without --instruction", "both");
  if (!output.empty() && file.empty()) refuse_arguments("--output without --file", "both");
  std::error_code neither_there;
  if (!output.empty() && std::filesystem::equivalent(output, file, neither_there)) refuse_arguments("--output and --file that are one file", "two");
  if (prompt && !speaker.template_name.empty()) refuse_arguments("--template with --prompt, whose text goes to the model as it is", "--instruction");
  speaker.validate();
  sampling.validate();
  engine.validate();
}

std::vector<std::optional<std::size_t>> chosen_adapters(const std::vector<Question>& questions, const GenerateOptions& o) {
  const auto used = o.speaker.used_adapter(o.use);
  std::vector<std::optional<std::size_t>> chosen;
  for (const auto& question : questions) {
    const auto name = question.adapter.value_or("");
    chosen.push_back(question.adapter ? o.speaker.find_adapter(name) : used);
    if (!name.empty() && !chosen.back()) throw DataError(o.speaker.no_adapter(question.name, name));
  }
  return chosen;
}

void declare(CLI::App& app, GenerateOptions& o) {
  declare(app, o.speaker);
  app.add_option("--use", o.use, "the adapter of prompts that name none; default: the base alone, or the one adapter without a name");
  app.add_option("--prompt", o.prompt, "text to go on from, as it is");
  app.add_option("--instruction", o.instruction, "an instruction, put through the template");
  app.add_option("--input", o.input, "what the instruction works on");
  app.add_option("--file", o.file, "JSON lines, or a JSON array, of {prompt} or {instruction, input} records, perhaps with `adapter`");
  app.add_option("--output", o.output, "with --file: where the answers go, one JSON line a record; default: the terminal");
  app.add_flag("--raw", o.raw, "leave what the template puts around an answer");
  declare(app, o.sampling);
  app.add_option("--batch-size", o.engine.batch_size, "with --file: prompts answered side by side")->capture_default_str();
}

}  // namespace herd
