#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "infer/instruct/screening.h"
#include "runtime/base/registry.h"

namespace herd {

/// Texts of which each request takes one for a place of the prompt: {style}, say.
struct PlaceChoices {
  std::string place;
  std::vector<std::string> of;
};

/// The words before the colon that parts of an answer stand behind, in the order in which they come (of a closed context the input comes
/// before the instruction); empty: there is no such part.
struct AnswerLabels {
  std::string system, metadata;  ///< of a record's system text; of a passage: lines `key: value`
  std::string instruction, input, output;
  std::string user, assistant;   ///< or: turns of a conversation, time and again
  std::string nothing = "none";  ///< as `input`: there is none
};

/// How one kind of instructions is asked for, and made records of: a file of configs/instructors. A place is a name in braces, {topics};
/// what else stands in braces is text.
struct Instructor {
  /// What becomes of instruction, input and output (data/format/airoboros.h).
  enum class Form {
    kPlain,
    kClosedContext,  ///< the input becomes a block of context that the instruction is to be answered from
    kCodeAlone,      ///< PLAINFORMAT: code and nothing else
  };

  std::string name, description, source;
  std::string language;                   ///< of its records, as the catalogue writes it: EN, CN; empty: by their letters
  std::string prompt;                     ///< places: batch, topics, examples, next, and those of `choices`
  std::string example;                    ///< one of {examples}: places number, instruction, input, output
  std::string answer_prompt;              ///< asks for each answer apart: places instruction, input. Empty: the first reply has them
  std::int64_t batch = 5;                 ///< instructions that a prompt asks for
  std::int64_t topics = 0, examples = 0;  ///< in a prompt
  std::vector<PlaceChoices> choices;
  AnswerLabels labels;
  Form form = Form::kPlain;
  bool cite = false;  ///< of a closed context: answers end with the passage's metadata as their source
  LengthBounds bounds;
  std::vector<std::string> forbidden;  ///< words that no instruction and no input may have
  double temperature = 0.7;
  std::optional<double> top_p;
  std::int64_t max_tokens = 2048;
  std::vector<std::string> stop;
  std::string fingerprint;  ///< hash of the file

  bool of_turns() const { return !labels.user.empty(); }
  bool in_two_steps() const { return !answer_prompt.empty(); }
};

/// @param place for errors. @throws ConfigError with file and line for what is wrong in it.
Instructor parse_instructor(const std::string& name, const std::string& text, const std::string& place);

/// Those of `instructors/*.yaml` in the folders of configs (config_files.h), by name; the first folder that has a name decides.
Table<Instructor> shipped_instructors();
/// One of them, or that of a file (`*.yaml`). @throws ConfigError for an unknown name (with the nearest), and what parse_instructor throws.
Instructor find_instructor(const std::string& name_or_file);

/// The text with its places filled: {name} by its value. @throws ConfigError naming `who` for a place that has no value.
std::string fill_places(std::string_view text, const std::map<std::string, std::string>& values, const std::string& who);

}  // namespace herd
