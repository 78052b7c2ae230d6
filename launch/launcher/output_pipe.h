#pragma once
#include <optional>
#include <string>
#include <vector>

#include "runtime/base/child_process.h"

namespace herd {

/// What a child process says, line by line.
class OutputPipe {
 public:
  /// @throws IoError.
  OutputPipe();
  ~OutputPipe();
  OutputPipe(const OutputPipe&) = delete;
  OutputPipe& operator=(const OutputPipe&) = delete;

  /// For ChildOptions::output.
  int child_end() const { return ends_[1]; }
  /// To be called once the child has it: else no end comes.
  void close_child_end();
  /// Whole lines that came within `milliseconds`, without their ends; the first that come end the waiting, as does a signal. At the end the line that has none, too.
  std::vector<std::string> lines(int milliseconds);
  bool at_end() const { return ends_[0] < 0; }

 private:
  int ends_[2] = {-1, -1};
  std::string begun_;
};

struct Captured {
  std::optional<int> code;  ///< none where it took too long, and was ended
  std::string said;         ///< on stdout and stderr
};
/// Runs a short program to its end. @throws IoError where it cannot be started.
Captured capture(std::vector<std::string> command, double timeout_s);

}  // namespace herd
