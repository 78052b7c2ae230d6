#pragma once
#include "data/template/jinja/machine.h"

namespace herd::jinja {

/// A level of statements or expressions within each other.
class Machine::Level {
 public:
  explicit Level(Machine& machine) : machine_(machine) {
    if (machine.depth_ >= machine.limits_.depth) throw Fault{"macros or expressions without an end within each other", "a template that ends", ""};
    ++machine_.depth_;
  }
  ~Level() { --machine_.depth_; }
  Level(const Level&) = delete;

 private:
  Machine& machine_;
};

/// A scope, and perhaps another output, for a while.
class Machine::Within {
 public:
  Within(Machine& machine, std::shared_ptr<Scope> scope, std::string* out = nullptr)
      : machine_(machine), scope_(std::exchange(machine.scope_, std::move(scope))), out_(std::exchange(machine.out_, out ? out : machine.out_)) {}
  ~Within() {
    machine_.scope_ = std::move(scope_);
    machine_.out_ = out_;
  }
  Within(const Within&) = delete;

 private:
  Machine& machine_;
  std::shared_ptr<Scope> scope_;
  std::string* out_;
};

}  // namespace herd::jinja
