#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

namespace herd::jinja {

/// What is wrong with a template or with the values it is given; the program that runs it adds the place (program.h) and throws DataError.
struct Fault {
  std::string found, expected{}, remedy{};
};

/// How far a template may go: none of the hub's comes near to these, and none that is broken or hostile gets past them.
struct Limits {
  std::int64_t work = 20'000'000;              ///< steps; a step is an operation or some 32 bytes looked at
  std::int64_t bytes = 256 << 20;              ///< of texts and lists made
  std::int64_t output = 64 << 20;              ///< bytes
  int depth = 600;                             ///< of statements and expressions within each other, macros' calls included
};

/// What a run has left of its limits.
class Budget {
 public:
  explicit Budget(const Limits& limits) : work_(limits.work), bytes_(limits.bytes) {}

  /// @throws Fault where the steps are used up.
  void spend(std::size_t steps = 1) { take(work_, steps, "more steps than a template may take"); }
  void look_at(std::size_t bytes) { spend(1 + bytes / 32); }
  /// Before a text or list of that size is made. @throws Fault where that is too much.
  void make(std::size_t bytes) {
    take(bytes_, bytes, "more text than a template may make");
    look_at(bytes);
  }

 private:
  static void take(std::int64_t& left, std::size_t amount, const char* found) {
    if (amount > static_cast<std::size_t>(left)) throw Fault{found, "one that ends: loops, ranges and repetitions of a sane size", ""};
    left -= static_cast<std::int64_t>(amount);
  }
  std::int64_t work_, bytes_;
};

}  // namespace herd::jinja
