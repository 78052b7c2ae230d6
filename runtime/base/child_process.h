#pragma once
#include <sys/types.h>

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace herd {

struct ChildOptions {
  std::vector<std::string> command;                  ///< a program, found in PATH as a shell does, and its arguments
  std::map<std::string, std::string> environment{};  ///< on top of this process's
  std::filesystem::path folder{};                    ///< where it works; empty: where this process does
  int output = -1;                                   ///< a descriptor for its stdout and stderr; -1: this process's own
};

/// A program that runs beside this one, the first of a process group of its own, so that what it starts is reached as well. Its stdin is empty. It gets SIGTERM when the
/// thread that made it ends, however that is. For one thread.
class ChildProcess {
 public:
  /// @throws IoError where it cannot be started, by the name of the program.
  explicit ChildProcess(const ChildOptions& options);
  /// Kills the group where the program still runs.
  ~ChildProcess();
  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&& other) = delete;

  pid_t id() const { return id_; }
  /// To the whole group; nothing where it has ended. SIGKILL ends what it left behind, too.
  void signal(int number);
  /// Its exit code, or 128 + the number of the signal that ended it; nothing while it runs.
  std::optional<int> ended();
  int wait();

 private:
  std::optional<int> code_of(int options);

  pid_t id_ = -1;
  std::optional<int> code_;
};

}  // namespace herd
