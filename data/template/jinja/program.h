#pragma once
#include <ctime>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "data/template/jinja/fault.h"

namespace herd::jinja {

struct Code;

/// A Jinja template, as transformers compiles a tokenizer's chat template: the part of the language that those use (docs/chat-templates.md).
/// Thread-safe; a run changes nothing and reaches nothing but the variables that it is given.
class Program {
 public:
  /// @throws DataError with the line, naming the construct, for what is no Jinja or none that herd knows.
  explicit Program(std::string_view source, Limits limits = {});
  ~Program();
  Program(Program&&) noexcept;
  Program& operator=(Program&&) noexcept;

  /// @param variables an object. @param now what strftime_now tells.
  /// @throws DataError with the line: the template's own raise_exception, an undefined value used, a construct that herd does not know, a limit reached.
  std::string render(const nlohmann::ordered_json& variables, const std::tm& now = {}) const;

 private:
  std::unique_ptr<const Code> code_;
  Limits limits_;
};

}  // namespace herd::jinja
