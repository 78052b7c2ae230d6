#pragma once
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "data/template/jinja/value.h"

namespace herd::jinja {

struct Expression;
using ExpressionPtr = std::unique_ptr<Expression>;

/// An expression. What its parts are, by kind:
struct Expression {
  enum class Kind {
    kConstant,   ///< value
    kName,       ///< text
    kList,       ///< parts
    kTuple,      ///< parts
    kDict,       ///< parts: key, value, key, value …
    kAttribute,  ///< parts: object; text
    kItem,       ///< parts: object, key
    kSlice,      ///< parts: object, start, stop, step, each of the three perhaps null
    kCall,       ///< parts: callee, arguments; named
    kFilter,     ///< parts: value (null within a block set), arguments; named; text
    kTest,       ///< likewise; `negated`
    kUnary,      ///< text: - + not; parts: value
    kBinary,     ///< text: + - * / // % ** and or; parts: left, right
    kConcat,     ///< parts
    kCompare,    ///< parts: first, …; `operators` between them
    kChoice,     ///< parts: condition, value, other (perhaps null)
  };
  Kind kind = Kind::kConstant;
  int line = 1;
  int depth = 1;
  std::string text{};
  Value value{nullptr};
  std::vector<ExpressionPtr> parts{};
  std::vector<std::pair<std::string, ExpressionPtr>> named{};
  std::vector<std::string> operators{};
  bool negated = false;
};

/// What is set or looped over into: a name, names, or a namespace's attribute.
struct Target {
  std::vector<std::string> names{};
  bool several = false;      ///< taken apart, also where there is one name
  std::string attribute{};   ///< of names[0]
};

struct Statement;
using Block = std::vector<Statement>;

struct MacroNode {
  std::string name{};
  std::vector<std::string> parameters{};
  std::vector<ExpressionPtr> defaults{};  ///< of the last parameters
  Block body{};
};

struct Statement {
  enum class Kind { kText, kPrint, kFor, kIf, kSet, kSetBlock, kMacro, kCallBlock, kScope, kBreak, kContinue };
  Kind kind = Kind::kText;
  int line = 1;
  std::string text{};
  ExpressionPtr expression{};                               ///< to print, set, loop over; the call of a call block; the filters of a block set
  ExpressionPtr condition{};                                ///< of a loop
  Target target{};
  std::vector<std::pair<ExpressionPtr, Block>> branches{};  ///< of if; `else` has no condition
  bool looks_ahead = false;                                 ///< a loop whose body speaks of `loop`, which knows what is still to come
  Block body{}, otherwise{};
  std::unique_ptr<MacroNode> macro{};                       ///< likewise a call block's `caller`
};

}  // namespace herd::jinja
