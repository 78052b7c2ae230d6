// Ranks that throw, die or are bound: whole jobs, started and judged from outside. The scenarios are this program's own disabled tests.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <csignal>
#include <cstdio>
#include <filesystem>
#include <thread>

#include "parallel/comm/agree.h"
#include "parallel/comm/backends.h"
#include "parallel/comm/flight_compare.h"
#include "runtime/base/affinity.h"
#include "runtime/base/process.h"
#include "tests/support/assets.h"
#include "tests/support/scratch.h"

namespace herd::test {
namespace {

using testing::_;
using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;
using testing::Matcher;
using testing::Ne;
using testing::Not;
using Clock = std::chrono::steady_clock;

struct Job {
  int code = 0;
  double seconds = 0;
  std::string text;  // stdout and stderr of all ranks
};

// Runs a scenario on `ranks` ranks, or bare for 0.
Job run(const std::string& scenario, int ranks, const std::string& launcher = "") {
  const auto program = std::filesystem::read_symlink("/proc/self/exe").string();
  const auto start = !launcher.empty() ? launcher : ranks ? fmt::format("{}/tests/support/mpirun {}", source_dir().string(), ranks) : "";
  const auto line = fmt::format("{} {} --gtest_color=no --gtest_also_run_disabled_tests --gtest_filter=Scenario.DISABLED_{} 2>&1", start, program, scenario);
  Job job;
  const auto began = Clock::now();
  FILE* output = popen(line.c_str(), "r");
  char buffer[4096];
  for (std::size_t count; (count = fread(buffer, 1, sizeof buffer, output)) > 0;) job.text.append(buffer, count);
  const int status = pclose(output);
  job.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  job.seconds = std::chrono::duration<double>(Clock::now() - began).count();
  return job;
}

// One step after the other, until something ends it.
void train(Communicator& c, const std::function<void(int)>& event) {
  auto gradient = at::ones({200'000});
  for (int step = 0; step < 100'000; ++step) {
    event(step);
    c.all_reduce(gradient.fill_(1)).wait();
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

TEST(Scenario, DISABLED_Throws) {
  auto c = make_communicator("auto");
  const int last = c->size() - 1;
  try {
    train(*c, [&](int step) {
      if (c->rank() == last && step == 5) throw DataError({.who = "records.json:7", .found = "nonsense"});
    });
  } catch (const DataError& e) {
    c->abort(3, fmt::format("rank {}: {}", c->rank(), e.what()));
  }
}

// An error that nobody catches before the communicator goes: the others must not wait for the deadline.
TEST(Scenario, DISABLED_Unwinds) {
  try {
    auto c = make_communicator("auto");
    train(*c, [&](int step) {
      if (c->rank() == 0 && step == 5) throw DataError({.who = "records.json:7", .found = "nonsense"});
    });
  } catch (const Error& e) {
    std::printf("told: %s\n", e.what());
    std::fflush(stdout);
    std::this_thread::sleep_for(std::chrono::milliseconds(500));  // mpirun ends all with the first that goes: each is to be heard
    std::_Exit(1);
  }
}

TEST(Scenario, DISABLED_Killed) {
  auto c = make_communicator("auto");
  train(*c, [&](int step) {
    if (c->rank() == 1 && step == 5) raise(SIGKILL);
  });
}

// Stopped, not dead: mpirun sees nothing; the deadline does.
TEST(Scenario, DISABLED_Stopped) {
  auto c = make_communicator("auto", {.deadline_s = 0.5});
  try {
    train(*c, [&](int step) {
      if (c->rank() == 1 && step == 5) raise(SIGSTOP);
    });
  } catch (const CommError& e) {
    c->abort(4, e.what());
  }
}

// Alive, but its main thread never comes: its communication thread says where it is.
TEST(Scenario, DISABLED_HangsInCompute) {
  auto c = make_communicator("auto", {.deadline_s = 0.5});
  try {
    train(*c, [&](int step) {
      c->note(fmt::format("step {}: forward", step));
      if (c->rank() == 1 && step == 5) for (;;) std::this_thread::sleep_for(std::chrono::seconds(1));
    });
  } catch (const CommError& e) {
    c->abort(4, e.what());
  }
}

// Nobody checks, nothing has a length to compare: both sides are named all the same.
TEST(Scenario, DISABLED_AnotherOrder) {
  auto c = make_communicator("auto", {.deadline_s = 300});  // a neighbour is asked long before
  auto small = at::ones({4}), large = at::ones({100'000});
  try {
    c->barrier().wait();
    auto first = c->rank() == 1 ? c->all_gather(large, at::ones({50'000})) : c->all_reduce(small);
    first.wait();
    c->barrier().wait();
  } catch (const CommError& e) {
    c->abort(4, e.what());
  }
}

// Every main thread hangs, whatever it hears: only the watchdogs end the ranks.
TEST(Scenario, DISABLED_NobodyEnds) {
  auto c = make_communicator("auto", {.deadline_s = 0.5});
  c->watch([&](const std::string& cause) { std::printf("last words of rank %d: %s\n", c->rank(), cause.c_str()), std::fflush(stdout); });
  c->note("a long dream");
  auto buffer = at::ones({1000});
  Work work;
  if (c->rank() == 0) work = c->all_reduce(buffer);
  for (;;) std::this_thread::sleep_for(std::chrono::seconds(1));
}

// What is left of a rank that is killed: the others' word, and its own log.
TEST(Scenario, DISABLED_KilledUnderWatch) {
  const std::filesystem::path folder = std::getenv("HERD_TEST_FLIGHT");
  auto c = make_communicator("auto");
  c->record_flight(folder);
  c->watch([&](const std::string& cause) { std::printf("last words of rank %d: %s\n", c->rank(), cause.c_str()), std::fflush(stdout); });
  c->barrier().wait();
  train(*c, [&](int step) {
    c->note(fmt::format("step {}", step));
    if (c->rank() == 1 && step == 5) raise(SIGKILL);
  });
}

// A longer deadline while ranks load, for splits too; the shorter one comes back.
TEST(Scenario, DISABLED_LoadsLonger) {
  auto c = make_communicator("auto", {.deadline_s = 0.5});
  auto half = c->split(0, 0);
  {
    const DeadlineScope loading(*c, 60);
    if (c->rank() == 1) std::this_thread::sleep_for(std::chrono::seconds(1));
    half->barrier().wait();
    c->barrier().wait();
  }
  std::printf("loaded\n"), std::fflush(stdout);
  try {
    if (c->rank() == 1) std::this_thread::sleep_for(std::chrono::seconds(1));
    half->barrier().wait();
  } catch (const CommError& e) {
    c->abort(4, e.what());
  }
}

// Found out before the first step, agreed on by all: every rank ends by itself, MPI included.
TEST(Scenario, DISABLED_Agrees) {
  try {
    auto c = make_communicator("auto");
    agree(*c, [&] {
      if (c->rank() == 1) throw DataError({.who = "shard 1", .found = "nothing"});
    });
    std::printf("went on\n");
  } catch (const DataError& e) {
    std::printf("told: %s\n", e.what());
    return;
  }
}

TEST(Scenario, DISABLED_Binding) {
  const int before = usable_cpus();
  ensure_cpus(2);
  std::printf("from %d to %d CPUs\n", before, usable_cpus());
}

TEST(Scenario, DISABLED_Bare) { std::printf("backend %s\n", make_communicator("auto")->backend().c_str()); }

// A job that must not wait for a deadline of minutes (its start and watchdogs take some seconds each): its code and what its ranks said.
void expect_end(const std::string& scenario, int ranks, const Matcher<int>& code, const Matcher<const std::string&>& text) {
  const auto job = run(scenario, ranks);
  EXPECT_THAT(job.code, code) << job.text;
  EXPECT_THAT(job.text, text);
  EXPECT_LT(job.seconds, 15) << job.text;
}

TEST(Failure, ARankThatThrowsEndsAllWithItsMessageAndCode) { expect_end("Throws", 3, 3, HasSubstr("rank 2: records.json:7: nonsense")); }

TEST(Failure, AnUncaughtErrorReachesTheOthersAtOnce) {
  expect_end("Unwinds", 3, Ne(0), AllOf(HasSubstr("told: records.json:7"), HasSubstr("rank 0 on " + host_name() + " has left without entering it")));
}

TEST(Failure, AKilledRankEndsAll) { expect_end("Killed", 3, Ne(0), _); }

TEST(Failure, AStoppedRankIsNamed) { expect_end("Stopped", 2, 4, HasSubstr("rank 1 on " + host_name() + " does not answer after 0.5 s")); }

TEST(Failure, ARankThatHangsInComputeIsNamedWithItsHostAndActivity) {
  expect_end("HangsInCompute", 2, 4,
             AllOf(HasSubstr("rank 1 on " + host_name() + " has not entered it"),
                   HasSubstr("rank 1 was last seen in: step 5: forward, after all_reduce(sum) of Float [200000] #5")));
}

TEST(Failure, AnotherOrderNamesBothSides) {
  expect_end("AnotherOrder", 2, 4,
             AllOf(HasSubstr("#2: the ranks disagree"), HasSubstr("entered all_reduce(sum) of Float [4]"), HasSubstr("entered all_gather of Float")));
}

TEST(Failure, WatchdogsEndRanksThatDoNotEndThemselves) {
  expect_end("NobodyEnds", 2, 1, AllOf(HasSubstr("last words of rank"), HasSubstr("rank 1 on " + host_name() + " has not entered it"),
                                       HasSubstr("it was in: a long dream")));
}

TEST(Failure, AKilledRankIsToldByItsNeighboursAndItsLog) {
  Scratch folder;
  setenv("HERD_TEST_FLIGHT", folder.path().c_str(), 1);
  expect_end("KilledUnderWatch", 3, Ne(0), HasSubstr("rank 1 on " + host_name() + " is gone"));
  const auto flights = read_flights(folder.path());
  ASSERT_EQ(flights.size(), 3u);
  EXPECT_EQ(flights[1].activity, "step 5");
  EXPECT_EQ(flights[1].host, host_name());
  EXPECT_THAT(compare_flights(flights), Contains(AllOf(HasSubstr("rank 1 on " + host_name() + " lags"), HasSubstr("it was in: step 5"))));
}

TEST(Failure, LoadingHasADeadlineOfItsOwn) {
  expect_end("LoadsLonger", 2, 4, AllOf(HasSubstr("loaded"), HasSubstr("barrier #2"), HasSubstr("rank 1 on " + host_name() + " has not entered it")));
}

// Each rank ends by itself, MPI finalized: mpirun has nothing to complain about.
TEST(Failure, AnAgreedErrorEndsAllInOrder) {
  expect_end("Agrees", 2, 0, AllOf(HasSubstr("told: rank 1: shard 1"), Not(HasSubstr("went on")), Not(HasSubstr("leaving without"))));
}

TEST(Start, MpirunsBindingIsWidened) {
  if (usable_cpus() < 2) GTEST_SKIP() << "needs two CPUs";
  const auto job = run("Binding", 1, "mpirun --allow-run-as-root --bind-to core -n 1");
  EXPECT_EQ(job.code, 0) << job.text;
  EXPECT_THAT(job.text, HasSubstr(fmt::format("from 1 to {} CPUs", usable_cpus()))) << job.text;
}

TEST(Start, ABareProcessIsAlone) { EXPECT_THAT(run("Bare", 0).text, HasSubstr("backend self")); }

}  // namespace
}  // namespace herd::test
