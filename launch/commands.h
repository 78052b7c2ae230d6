#pragma once
#include <string>

#include "runtime/base/registry.h"

namespace herd {

/// A subcommand: `herd NAME …`. It gets its own arguments (argv[0] is its name), and throws what goes wrong.
struct Command {
  int (*run)(int argc, char** argv) = nullptr;
  std::string summary;  ///< a line of `herd --help`
};

/// Every subcommand, in the order of the help.
const Table<Command>& commands();

/// The whole of `main`: finds the command, runs it, tells its error on stderr. @return the exit code.
int run_herd(int argc, char** argv);

}  // namespace herd
