#include "data/template/jinja/program.h"

#include <nlohmann/json.hpp>

#include "data/template/jinja/lexer.h"
#include "data/template/jinja/machine.h"
#include "data/template/jinja/parser.h"
#include "data/tokenizer/utf8.h"

namespace herd::jinja {

struct Code {
  Block block;
};

namespace {

constexpr std::size_t kMaxSource = 1 << 20;

}  // namespace

Program::Program(std::string_view source, Limits limits) : limits_(limits) {
  require_utf8(source, "chat template");
  if (source.size() > kMaxSource) fail_at(1, "a template of " + std::to_string(source.size()) + " bytes", "at most a mebibyte");
  code_ = std::make_unique<const Code>(Code{parse(source)});
}

Program::~Program() = default;
Program::Program(Program&&) noexcept = default;
Program& Program::operator=(Program&&) noexcept = default;

std::string Program::render(const nlohmann::ordered_json& variables, const std::tm& now) const {
  Machine machine(limits_, now);
  try {
    std::vector<std::pair<std::string, Value>> values;
    for (const auto& [name, value] : variables.items()) values.emplace_back(name, Value::from_json(value));
    return machine.run(code_->block, std::move(values));
  } catch (const Fault& fault) {
    fail_at(machine.line(), fault.found, fault.expected, fault.remedy);
  }
}

}  // namespace herd::jinja
