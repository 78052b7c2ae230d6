#include "runtime/base/child_process.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "runtime/base/error.h"
#include "runtime/base/file.h"
#include "tests/support/errors.h"
#include "tests/support/scratch.h"

namespace herd::test {
namespace {
using testing::HasSubstr;

ChildOptions shell(std::string script) { return {.command = {"sh", "-c", std::move(script)}}; }

TEST(ChildProcess, EndsWithTheProgramsCodeOrItsSignal) {
  EXPECT_EQ(ChildProcess(shell("exit 7")).wait(), 7);
  EXPECT_EQ(ChildProcess(shell("kill -TERM $$")).wait(), 128 + SIGTERM);
  ChildProcess child(shell("sleep 60"));
  EXPECT_FALSE(child.ended());
  child.signal(SIGINT);
  EXPECT_EQ(child.wait(), 128 + SIGINT);
  EXPECT_EQ(child.ended(), 128 + SIGINT);
}

TEST(ChildProcess, SaysAndWorksWhereItIsTold) {
  const Scratch scratch;
  const int file = ::open((scratch / "said").c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  auto options = shell("pwd; echo $HERD_A $HERD_B >&2; cat");
  options.environment = {{"HERD_A", "one"}, {"HERD_B", "two words"}};
  options.folder = "/usr";
  options.output = file;
  EXPECT_EQ(ChildProcess(options).wait(), 0);
  ::close(file);
  EXPECT_EQ(read_file(scratch / "said"), "/usr\none two words\n") << "stdin is empty";
}

TEST(ChildProcess, WhatCannotBeStartedIsOneError) {
  EXPECT_THAT(message_of<IoError>([] { ChildProcess({.command = {"no-such-program"}}); }), testing::AllOf(HasSubstr("no-such-program"), HasSubstr("PATH")));
  EXPECT_THAT(message_of<IoError>([] { ChildProcess({.command = {"/etc/passwd"}}); }), HasSubstr("ermission denied"));
  EXPECT_THAT(message_of<IoError>([] { ChildProcess({.command = {"true"}, .folder = "/no/such"}); }), HasSubstr("o such file"));
}

// One that has ended may stay in the table of processes for a while.
bool living(pid_t id) {
  const auto stat = std::filesystem::path("/proc") / std::to_string(id) / "stat";
  if (::kill(id, 0) != 0) return false;
  try {
    const auto text = read_file(stat);
    return text.substr(text.rfind(')'), 3) != ") Z";
  } catch (const IoError&) {
    return false;
  }
}

TEST(ChildProcess, TakesWhatItStartedWithIt) {
  const Scratch scratch;
  auto options = shell("sleep 60 & echo $! > id.tmp; mv id.tmp id; wait");
  options.folder = scratch.path();
  {
    ChildProcess child(options);
    while (!std::filesystem::exists(scratch / "id")) std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  const auto id = std::stoi(read_file(scratch / "id"));
  for (int i = 0; i < 500 && living(id); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_FALSE(living(id));
}

// However the parent ends.
TEST(ChildProcess, DoesNotOutliveWhoStartedIt) {
  const Scratch scratch;
  const auto parent = ::fork();
  if (parent == 0) {
    auto options = shell("echo $$ > id.tmp; mv id.tmp id; exec sleep 60");
    options.folder = scratch.path();
    ChildProcess child(options);
    ::pause();
  }
  while (!std::filesystem::exists(scratch / "id")) std::this_thread::sleep_for(std::chrono::milliseconds(2));
  ::kill(parent, SIGKILL);
  ::waitpid(parent, nullptr, 0);
  const auto id = std::stoi(read_file(scratch / "id"));
  for (int i = 0; i < 500 && living(id); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_FALSE(living(id));
}

}  // namespace
}  // namespace herd::test
