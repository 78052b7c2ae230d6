#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace herd {

/// A piece of a template: words of its own around slots, `USER: {text} `. A slot is a name in braces; `{{` is a brace, and braces around
/// anything that is no name are text.
class Form {
 public:
  struct Part {
    std::string text;  ///< the template's own words, or a slot's name
    bool is_slot = false;
    bool operator==(const Part&) const = default;
  };

  Form() = default;
  /// @throws ConfigError for a slot that is none of kSlots, with the nearest one.
  explicit Form(std::string_view text);

  const std::vector<Part>& parts() const { return parts_; }
  bool empty() const { return parts_.empty(); }
  bool has(std::string_view slot) const;
  bool operator==(const Form&) const = default;

 private:
  std::vector<Part> parts_;
};

/// What a slot stands for: `text` of the turn, its `input`, the record's `system` text and `category`, the number of the `round`, the tokenizer's `bos` and `eos` tokens.
const std::vector<std::string>& slots();

}  // namespace herd
