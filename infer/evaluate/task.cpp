#include "infer/evaluate/task.h"

#include <filesystem>

#include "infer/embedded.h"
#include "runtime/base/config.h"
#include "runtime/base/file.h"
#include "runtime/base/text.h"

namespace herd {

static void describe(Schema& s, JudgeTask& o) {
  s.field("prompt", o.prompt, "how to mark, for categories that a file of prompts does not name");
  s.field("without_reference", o.without_reference, "categories whose reference the judge does not see");
}

static void describe(Schema& s, EvaluationTask& o) {
  using Kind = EvaluationTask::Kind;
  using Answer = EvaluationTask::Answer;
  using Reference = EvaluationTask::Reference;
  s.field("description", o.description, "what it measures");
  s.field("source", o.source, "whose questions or prompt these are");
  s.choice("kind", o.kind, {{"perplexity", Kind::kPerplexity}, {"choice", Kind::kChoice}, {"answer", Kind::kAnswer}}, "how probable texts are, which of several continuations is the most probable, or what the model writes");
  s.field("fields", o.fields, "fields that each record has; of comma-separated values without a header, its columns");
  s.field("whole_file", o.whole_file, "a file is one record, whose field is `text`");
  s.field("prompt", o.prompt, "text that the model is given as it is");
  s.field("instruction", o.instruction, "or an instruction, put through the model's template");
  s.field("input", o.input, "what the instruction works on");
  s.field("choices", o.choices, "what a prompt may go on with");
  s.field("choices_in", o.choices_in, "or the field that holds a list of these");
  s.field("delimiter", o.delimiter, "between a prompt and what it goes on with");
  s.field("reference", o.reference, "the right answer; of a choice its text, its letter, or its number from 0");
  s.choice("reference_is", o.reference_is, {{"told", Reference::kTold}, {"text", Reference::kText}, {"letter", Reference::kLetter}, {"number", Reference::kNumber}},
           "which of these it is; told: by what it says, where that leaves one choice");
  s.field("category", o.category, "what results are told apart by");
  s.field("question", o.question, "what the file of answers calls the question; default: the prompt or instruction");
  s.field("options", o.options, "and the options");
  s.field("intro", o.intro, "before the examples");
  s.field("shots", o.shots, "examples with their answers before a prompt").range(0, 100);
  s.field("between", o.between, "what follows the intro and each example");
  s.choice("answer", o.answer, {{"text", Answer::kText}, {"letters", Answer::kLetters}, {"number", Answer::kNumber}, {"word", Answer::kWord}}, "what is read from an answer");
  s.field("letters", o.letters, "how many letters there are to choose from").range(2, 26);
  s.field("max_new_tokens", o.max_new_tokens, "longest answer").at_least(1);
  s.field("stop", o.stop, "text that ends an answer");
  s.optional_section("judge", o.judge, "what a judge is told of an answer");
}

static void check(const EvaluationTask& t, const std::string& place) {
  using Kind = EvaluationTask::Kind;
  const auto refuse = [&](const char* key, const char* found, const char* expected) {
    throw ConfigError({.who = place + ": '" + key + "'", .found = found, .expected = expected, .remedy = ""});
  };
  if (t.prompt.empty() == t.instruction.empty()) refuse("prompt", t.prompt.empty() ? "nothing to ask" : "beside 'instruction'", "one of 'prompt' and 'instruction'");
  if (t.kind == Kind::kPerplexity && t.through_template()) refuse("instruction", "of a perplexity", "'prompt'");
  if (t.kind == Kind::kChoice && t.choices.empty() == t.choices_in.empty()) refuse("choices", t.choices.empty() ? "none" : "beside 'choices_in'", "one of 'choices' and 'choices_in'");
  if (t.kind != Kind::kPerplexity && t.reference.empty()) refuse("reference", "none", "a form, such as \"{{answer}}\"");
  if (t.kind != Kind::kChoice && t.reference_is != EvaluationTask::Reference::kTold) refuse("reference_is", "of no choice", "'kind: choice'");
  if (t.shots > 0 && t.through_template()) refuse("shots", "beside 'instruction'", "'prompt', which examples stand in");
}

EvaluationTask parse_evaluation_task(const std::string& name, const std::string& text, const std::string& place) {
  EvaluationTask task{.name = name};
  Schema schema;
  describe(schema, task);
  const auto node = parse_yaml(text, {.source = place});
  if (!node.is_map()) throw ConfigError({.who = place, .found = "no keys", .expected = "a task: 'kind', 'prompt', …", .remedy = ""});
  schema.load(node);
  check(task, place);
  task.fingerprint = fingerprint(text);
  return task;
}

const Table<EvaluationTask>& evaluation_tasks() {
  static const Table<EvaluationTask> table("task", [] {
    std::vector<std::pair<std::string, EvaluationTask>> rows;
    for (const auto& [name, text] : embedded_evaluation_tasks()) rows.emplace_back(name, parse_evaluation_task(name, text, "configs/evaluate/" + std::string(name) + ".yaml"));
    return rows;
  }());
  return table;
}

EvaluationTask find_evaluation_task(const std::string& name_or_file) {
  const std::filesystem::path path(name_or_file);
  if (path.extension() != ".yaml" && path.extension() != ".yml") return evaluation_tasks().at(name_or_file);
  return parse_evaluation_task(path.stem().string(), read_file(path), name_or_file);
}

}  // namespace herd
