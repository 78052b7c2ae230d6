#pragma once
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "launch/commands.h"
#include "tests/support/scratch.h"

namespace herd::test {

/// What a command left.
struct Output {
  int code = 0;
  std::string out, err;
};

/// `herd ARGUMENTS…` in this process, with what it writes to stdout and stderr.
inline Output herd(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "herd");
  std::vector<char*> argv;
  for (auto& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  Output output;
  output.code = run_herd(static_cast<int>(arguments.size()), argv.data());
  output.out = testing::internal::GetCapturedStdout();
  output.err = testing::internal::GetCapturedStderr();
  return output;
}

/// Tests of one subcommand: a folder of one's own, and what the last call said.
class CommandTest : public testing::Test {
 protected:
  explicit CommandTest(std::string command) : command_(std::move(command)) {}

  /// `herd COMMAND ARGUMENTS…` @return the exit code
  int herd(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), command_);
    const auto output = test::herd(std::move(arguments));
    out_ = output.out;
    err_ = output.err;
    return output.code;
  }

  Scratch scratch_;
  std::string out_, err_;

 private:
  std::string command_;
};

}  // namespace herd::test
