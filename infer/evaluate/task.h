#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/registry.h"

namespace herd {

/// What a judge is told of an answer.
struct JudgeTask {
  std::string prompt;                          ///< how to mark, for categories that a file of prompts does not name; the mark is to follow `得分:`
  std::vector<std::string> without_reference;  ///< categories whose reference the judge does not see
};

/// What is asked of a model, and how what it says is measured: a file of configs/evaluate. Forms are Jinja over a record's fields; `record` is
/// the whole of it, for names that are not ASCII, and `file` the stem of its file's name without `_test`, `_val` or `_dev`.
struct EvaluationTask {
  enum class Kind {
    kPerplexity,  ///< how probable texts are
    kChoice,      ///< which of several continuations is the most probable
    kAnswer,      ///< what the model writes
  };
  /// What the reference of a choice is. kTold: whichever of them it can be, where all that it can be mean one choice.
  enum class Reference { kTold, kText, kLetter, kNumber };
  /// What is read from an answer (infer/metrics/answers.h, numbers.h).
  enum class Answer { kText, kLetters, kNumber, kWord };

  std::string name, description, source;
  Kind kind = Kind::kAnswer;
  std::vector<std::string> fields;   ///< that each record has; of comma-separated values without a header: its columns
  bool whole_file = false;           ///< a file is one record, whose field is `text`
  std::string prompt;                ///< form: text that the model is given as it is; else:
  std::string instruction, input;    ///< forms: put through the model's template
  std::vector<std::string> choices;  ///< forms
  std::string choices_in;            ///< or the field that holds a list of them
  std::string delimiter = " ";       ///< between a prompt and a choice, and between a prompt and the answer of a shot
  std::string reference;             ///< form: of a choice its text, its letter or its number from 0
  Reference reference_is = Reference::kTold;  ///< of choices
  std::string category;              ///< form
  std::string question, options;     ///< forms: what answers.json calls Q and O; the prompt or instruction, and nothing, where empty
  std::string intro;                 ///< form: before the shots
  std::int64_t shots = 0;            ///< examples with their answers before a prompt
  std::string between = "\n\n";      ///< what follows the intro and each of them
  Answer answer = Answer::kText;
  std::int64_t letters = 4;          ///< A to the so-manieth
  std::int64_t max_new_tokens = 256;
  std::vector<std::string> stop;     ///< text that ends an answer
  std::optional<JudgeTask> judge;
  std::string fingerprint;           ///< hash of the file

  bool through_template() const { return prompt.empty(); }
};

/// The tasks that herd brings along, by name.
const Table<EvaluationTask>& evaluation_tasks();
/// One of them, or that of a file (`*.yaml`). @throws ConfigError for an unknown name (with the nearest), or with file and line for what is wrong in a file.
EvaluationTask find_evaluation_task(const std::string& name_or_file);
/// @param text of a task's file. @param place for errors.
EvaluationTask parse_evaluation_task(const std::string& name, const std::string& text, const std::string& place);

}  // namespace herd
