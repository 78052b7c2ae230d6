#include "data/template/jinja/levels.h"

namespace herd::jinja {

void Scope::set(const std::string& name, Value value) {
  for (auto& [known, held] : variables_)
    if (known == name) {
      held = std::move(value);
      return;
    }
  variables_.emplace_back(name, std::move(value));
}

const Value* Scope::find(const std::string& name) const {
  for (const auto* scope = this; scope; scope = scope->around_.get())
    for (const auto& [known, value] : scope->variables_)
      if (known == name) return &value;
  return nullptr;
}

Machine::~Machine() {
  for (const auto& space : spaces_) space.space()->entries.clear();
}

std::string Machine::run(const Block& block, std::vector<std::pair<std::string, Value>> variables) {
  scope_ = std::make_shared<Scope>();
  for (auto& [name, value] : variables) scope_->set(name, std::move(value));
  std::string out;
  out_ = &out;
  execute(block);
  return out;
}

Machine::Flow Machine::execute(const Block& block) {
  const Level level(*this);
  for (const auto& statement : block)
    if (const auto flow = execute(statement); flow != Flow::kOn) return flow;
  return Flow::kOn;
}

Machine::Flow Machine::execute(const Statement& statement) {
  context_.budget.spend();
  line_ = statement.line;
  switch (statement.kind) {
    case Statement::Kind::kText: print(statement.text); break;
    case Statement::Kind::kPrint: print(str(evaluate(*statement.expression), context_.budget)); break;
    case Statement::Kind::kFor: return loop(statement);
    case Statement::Kind::kIf: return choose(statement);
    case Statement::Kind::kSet: assign(statement.target, evaluate(*statement.expression)); break;
    case Statement::Kind::kSetBlock: return set_block(statement);
    case Statement::Kind::kMacro: scope_->set(statement.macro->name, macro_value(*statement.macro)); break;
    case Statement::Kind::kCallBlock: call_block(statement); break;
    case Statement::Kind::kScope: {
      const Within within(*this, std::make_shared<Scope>(scope_));
      return execute(statement.body);
    }
    case Statement::Kind::kBreak: return Flow::kBreak;
    case Statement::Kind::kContinue: return Flow::kContinue;
  }
  return Flow::kOn;
}

void Machine::print(const std::string& text) {
  if (static_cast<std::int64_t>(out_->size() + text.size()) > limits_.output) throw Fault{"more output than a template may write", "a shorter one", ""};
  context_.budget.look_at(text.size());
  *out_ += text;
}

Machine::Flow Machine::loop(const Statement& statement) {
  auto items = items_of(evaluate(*statement.expression), context_.budget);
  const auto around = scope_;
  const auto wanted = [&](const Value& item) {
    if (!statement.condition) return true;
    const Within within(*this, std::make_shared<Scope>(around));
    assign(statement.target, item);
    return evaluate(*statement.condition).truth();
  };
  // A condition is asked when its item's turn comes, for a namespace may have changed; only where `loop` tells of later items, before.
  if (statement.condition && statement.looks_ahead) {
    Values kept;
    for (auto& item : items)
      if (wanted(item)) kept.push_back(std::move(item));
    items = std::move(kept);
  }
  const bool asked = !statement.condition || statement.looks_ahead;
  const auto told = make_loop(std::move(items));
  bool through = false;  // `else` follows unless a turn came to its end: jinja2 does not count turns that break or continue
  for (; told->index0 < told->items.size(); ++told->index0) {
    context_.budget.spend();
    const auto& item = told->items[told->index0];
    if (!asked && !wanted(item)) continue;
    const Within within(*this, std::make_shared<Scope>(around));
    scope_->set("loop", std::shared_ptr<const Loop>(told));
    assign(statement.target, item);
    const auto flow = execute(statement.body);
    if (flow == Flow::kBreak) break;
    through = through || flow == Flow::kOn;
  }
  if (through || statement.otherwise.empty()) return Flow::kOn;
  const Within within(*this, std::make_shared<Scope>(around));
  return execute(statement.otherwise);
}

Machine::Flow Machine::choose(const Statement& statement) {
  for (const auto& [condition, block] : statement.branches)
    if (!condition || evaluate(*condition).truth()) return execute(block);
  return Flow::kOn;
}

Machine::Flow Machine::set_block(const Statement& statement) {
  std::string text;
  {
    const Within within(*this, std::make_shared<Scope>(scope_), &text);
    if (const auto flow = execute(statement.body); flow != Flow::kOn) return flow;
  }
  context_.budget.make(text.size());
  assign(statement.target, statement.expression ? through_filters(*statement.expression, Value(std::move(text))) : Value(std::move(text)));
  return Flow::kOn;
}

void Machine::call_block(const Statement& statement) {
  const auto callee = evaluate(*statement.expression->parts[0]);
  auto given = arguments(*statement.expression);
  auto named = given.take_all_named();
  named.emplace_back("caller", macro_value(*statement.macro));
  Values positional;
  while (auto value = given.take_next()) positional.push_back(std::move(*value));
  print(str(call(callee, Arguments(std::move(positional), std::move(named))), context_.budget));
}

Value Machine::macro_value(const MacroNode& macro) const {
  return std::make_shared<const Callable>(Callable{.name = macro.name, .macro = &macro, .scope = scope_});
}

void Machine::assign(const Target& target, Value value) {
  if (!target.attribute.empty()) {
    const auto* held = scope_->find(target.names[0]);
    auto* space = held ? held->space() : nullptr;
    if (!space) throw Fault{"the attribute '" + target.attribute + "' set of what is no namespace", "a namespace()", ""};
    for (auto& [name, old] : space->entries)
      if (name == target.attribute) {
        old = std::move(value);
        return;
      }
    space->entries.emplace_back(target.attribute, std::move(value));
    return;
  }
  if (!target.several) return scope_->set(target.names[0], std::move(value));
  if (value.is_undefined()) throw Fault{"'" + value.undefined_name() + "', which is undefined, taken apart", "a pair or list", ""};
  auto items = items_of(value, context_.budget);
  if (items.size() != target.names.size())
    throw Fault{std::to_string(items.size()) + " values for " + std::to_string(target.names.size()) + " names", "as many of both", ""};
  for (std::size_t i = 0; i < items.size(); ++i) scope_->set(target.names[i], std::move(items[i]));
}

}  // namespace herd::jinja
