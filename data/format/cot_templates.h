#pragma once
#include <array>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/config_node.h"

namespace herd {

/// Text with the slots {question}, {answer} and {chain_of_thought}. `{{` and `}}` are single braces.
class SlotText {
 public:
  /// @throws DataError naming the node's place: an unknown or empty slot, a brace without its partner.
  explicit SlotText(const ConfigNode& node);

  /// What stands in a slot is text, also where it looks like a slot itself.
  std::string fill(const std::array<std::string_view, 3>& question_answer_reasoning) const;
  bool has_slots() const;

 private:
  struct Part {
    std::string text;
    int slot = -1;  ///< after the text; −1: none
  };
  std::vector<Part> parts_;
};

struct CotTemplate {
  SlotText instruction, output;
};

/// Templates of a file for one data set. The file is YAML (JSON is, too): a mapping from a data set's name to a list of `{instruction,
/// output}`, where the key `common` holds templates for every set that is named; or one list, for any set. `input` is another name of
/// `instruction`.
/// @throws ConfigError for broken YAML; DataError with the place: a set that the file does not name, no template, another key, a missing
///         one, a slot that does not exist, an output without a slot.
std::vector<CotTemplate> read_cot_templates(const std::filesystem::path& file, std::string_view set);

/// The data sets that the file names; none where it is one list.
std::vector<std::string> cot_sets(const std::filesystem::path& file);

}  // namespace herd
