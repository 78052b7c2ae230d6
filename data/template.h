#pragma once
#include <string>
#include <string_view>

#include "data/record.h"
#include "runtime/base/registry.h"

namespace herd {

/// How a record reads as text. Training and generation both begin with `prompt(record)`; `answer(record)` is what the model is to
/// write after it (the end of sequence is added as a token, not as text).
struct Template {
  std::string description;
  std::string (*prompt)(const Record&);
  /// The output as it follows the prompt, separator included; empty where the output is.
  std::string (*answer)(const Record&);
  /// The output within generated text: takes off what `answer` put around it.
  std::string (*output)(std::string_view generated);
};

/// Every template by name.
const Table<Template>& templates();

/// Hash of the name and of what the template writes for records with and without input: the same text, the same fingerprint.
std::string template_fingerprint(std::string_view name);

}  // namespace herd
