#include "launch/evaluate_options.h"

#include <CLI/CLI.hpp>

#include "launch/command_line.h"

namespace herd {

void EvaluateOptions::validate() {
  speaker.validate();
  sampling.validate();
  engine.validate();
}

EvaluationTask EvaluateOptions::asked_task() const {
  auto task = find_evaluation_task(this->task);
  if (shots) {
    if (*shots > 0 && task.through_template())
      throw ConfigError({.who = "--shots", .found = std::to_string(*shots), .expected = "0: task '" + task.name + "' goes through the model's template", .remedy = ""});
    task.shots = *shots;
  }
  if (max_new_tokens) task.max_new_tokens = *max_new_tokens;
  return task;
}

void declare(CLI::App& app, EvaluateOptions& o) {
  declare(app, o.speaker);
  app.add_option("--use", o.use, "the adapter that is measured; default: the one without a name, or the base alone");
  app.add_option("--task", o.task, "what is asked: one of `herd evaluate tasks`, or a file of that form")->required();
  app.add_option("--data", o.data, "files of records, patterns or folders")->required();
  app.add_option("--examples", o.examples, "where the examples before a prompt come from");
  app.add_option("--output", o.output, "a folder for results and answers")->required();
  app.add_option("--shots", o.shots, "examples before a prompt; default: the task's")->check(CLI::Range(0, 100));
  app.add_option("--limit", o.limit, "so many records of each file; 0: all")->check(CLI::NonNegativeNumber)->capture_default_str();
  app.add_flag("--skip-too-long", o.skip_too_long, "leave out and count records that the context has no room for; without it, an error");
  app.add_option("--context", o.context, "perplexity: tokens of a window; 0: the model's context")->check(CLI::NonNegativeNumber)->capture_default_str();
  app.add_option("--stride", o.stride, "perplexity: tokens that a window asks for; 0: as many as it has")->check(CLI::NonNegativeNumber)->capture_default_str();
  app.add_flag("!--no-mutual-info", o.alone, "choices: leave acc_mutual_info out, which takes the choices behind nothing too");
  declare(app, o.sampling);
  app.get_option("--max-new-tokens")->default_str("the task's");
  app.add_option("--batch-size", o.engine.batch_size, "texts that each rank reads or writes side by side")->capture_default_str();
}

}  // namespace herd
