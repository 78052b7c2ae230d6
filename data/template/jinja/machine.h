#pragma once
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "data/template/jinja/ast.h"
#include "data/template/jinja/functions.h"

namespace herd::jinja {

/// Variables of a block, and of those around it.
class Scope {
 public:
  explicit Scope(std::shared_ptr<Scope> around = nullptr) : around_(std::move(around)) {}
  void set(const std::string& name, Value value);
  const Value* find(const std::string& name) const;

 private:
  std::vector<std::pair<std::string, Value>> variables_;
  std::shared_ptr<Scope> around_;
};

/// One run of a template.
class Machine {
 public:
  Machine(const Limits& limits, const std::tm& now) : limits_(limits), context_{Budget(limits), now} {}
  ~Machine();
  Machine(const Machine&) = delete;

  /// @throws Fault; `line()` then tells where.
  std::string run(const Block& block, std::vector<std::pair<std::string, Value>> variables);
  int line() const { return line_; }

 private:
  enum class Flow { kOn, kBreak, kContinue };
  class Level;
  class Within;

  Flow execute(const Block& block);
  Flow execute(const Statement& statement);
  Flow loop(const Statement& statement);
  Flow choose(const Statement& statement);
  Flow set_block(const Statement& statement);
  void call_block(const Statement& statement);
  void assign(const Target& target, Value value);
  void print(const std::string& text);
  Value macro_value(const MacroNode& macro) const;

  Value evaluate(const Expression& e);
  Value evaluate_kind(const Expression& e);
  Value look_up(const std::string& name) const;
  Value call(const Value& callee, Arguments arguments);
  Value call_macro(const Callable& macro, Arguments& arguments);
  Value dictionary(const Expression& e);
  Value logic(const Expression& e);
  Value comparison(const Expression& e);
  Value concatenation(const Expression& e);
  Value through_filters(const Expression& e, const Value& text);
  Values parts(const Expression& e, std::size_t from = 0);
  Arguments arguments(const Expression& e);

  Limits limits_;
  Context context_;
  std::shared_ptr<Scope> scope_;
  std::string* out_ = nullptr;
  std::vector<Value> spaces_;  ///< every namespace made: they may hold each other
  int depth_ = 0, line_ = 1;
};

}  // namespace herd::jinja
