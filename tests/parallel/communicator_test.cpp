#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "parallel/comm/flight_compare.h"
#include "parallel/comm/latency.h"
#include "parallel/comm/threads.h"
#include "tests/support/communicator_contract.h"
#include "tests/support/errors.h"

namespace herd::test {
namespace {

Ranks threads(int ranks) {
  return {fmt::format("threads{}", ranks), [ranks](const auto& body) { run_threads(ranks, body); }};
}

Ranks self() {
  return {"self", [](const auto& body) { body(*make_self_communicator()); }};
}

INSTANTIATE_TEST_SUITE_P(Backends, CommunicatorContract, testing::Values(self(), threads(1), threads(2), threads(3), threads(4), threads(5)),
                         [](const auto& info) { return info.param.name; });

// Slow, and completing out of order.
Ranks delayed(int ranks) {
  return {fmt::format("delayed{}", ranks), [ranks](const auto& body) {
            run_threads(ranks, [&](Communicator& c) {
              LatencyCommunicator slow(c, {.latency_s = 2e-5, .bytes_per_s = 1e9, .jitter_s = 2e-4, .seed = 5});
              body(slow);
            });
          }};
}
INSTANTIATE_TEST_SUITE_P(Delayed, CommunicatorContract, testing::Values(delayed(1), delayed(3)), [](const auto& info) { return info.param.name; });

TEST(Latency, TakesItsTimeAndHidesResultsUntilThen) {
  run_threads(2, [](Communicator& c) {
    LatencyCommunicator slow(c, {.latency_s = 0.05});
    auto buffer = at::ones({8});
    const auto began = std::chrono::steady_clock::now();
    auto work = slow.all_reduce(buffer);
    EXPECT_FALSE(work.done());
    EXPECT_TRUE(buffer.isnan().all().item<bool>()) << "a reader before wait() must notice";
    work.wait();
    EXPECT_GE(std::chrono::steady_clock::now() - began, std::chrono::milliseconds(50));
    expect_equal(buffer, at::full({8}, 2.0), "sum");
  });
}

TEST(Latency, OperationsShareALine) {
  run_threads(2, [](Communicator& c) {
    LatencyCommunicator slow(c, {.bytes_per_s = 1e6});  // 4 kB: 4 ms each, one after the other
    std::vector<Work> works;
    const auto began = std::chrono::steady_clock::now();
    for (int i = 0; i < 5; ++i) works.push_back(slow.all_reduce(at::ones({1000})));
    for (auto& work : works) work.wait();
    EXPECT_GE(std::chrono::steady_clock::now() - began, std::chrono::milliseconds(20));
  });
}

TEST(Latency, CompletesInAnotherOrder) {
  run_threads(2, [](Communicator& c) {
    LatencyCommunicator slow(c, {.jitter_s = 0.1, .seed = 3});
    std::vector<Work> works;
    for (int i = 0; i < 8; ++i) works.push_back(slow.barrier());
    works.back().wait();
    int later = 0;
    for (auto& work : works) later += !work.done();
    for (auto& work : works) work.wait();
    EXPECT_GT(later, 0) << "the last one came last";
  });
}

TEST(Deadline, NamesTheRanksThatStayAway) {
  std::atomic<int> told = 0;
  run_threads(4, [&](Communicator& c) {
    if (c.rank() == 3) {
      c.note("reading shard 12");
      while (told < 3) std::this_thread::yield();
      return;
    }
    auto buffer = at::ones({1000});
    const auto text = message_of<CommError>([&] { c.all_reduce(buffer).wait(); });
    EXPECT_THAT(text, testing::AllOf(testing::HasSubstr("all_reduce #1"), testing::HasSubstr("Float [1000]"), testing::HasSubstr("3.91 KiB"),
                                     testing::HasSubstr("rank 3 has not entered it"), testing::HasSubstr("last seen in: reading shard 12")));
    // Out of use from here on.
    EXPECT_THAT(message_of<CommError>([&] { c.barrier().wait(); }), testing::HasSubstr("out of use since: all_reduce #1"));
    ++told;
  }, {.deadline_s = 0.2});
}

TEST(Mismatch, NamesBothSides) {
  run_threads(3, [](Communicator& c) {
    auto buffer = at::ones({c.rank() == 1 ? 11 : 10});
    EXPECT_THAT(message_of<CommError>([&] { c.all_reduce(buffer).wait(); }),
                testing::HasSubstr("ranks 0, 2 entered all_reduce(sum) of Float [10]; rank 1 entered all_reduce(sum) of Float [11]"));
  });
  run_threads(2, [](Communicator& c) {
    const std::vector<std::int64_t> send{1, 1}, receive = c.rank() ? std::vector<std::int64_t>{2, 1} : std::vector<std::int64_t>{1, 1};
    auto output = at::ones({c.rank() ? 3 : 2});
    EXPECT_THAT(message_of<CommError>([&] { c.all_to_all(output, at::ones({2}), send, receive).wait(); }),
                testing::HasSubstr("rank 0 sends 1 elements to rank 1, which receives 2"));
  });
}

TEST(RunThreads, RethrowsTheFirstCauseAndEndsTheOthersAtOnce) {
  std::atomic<int> ended = 0;
  const auto began = std::chrono::steady_clock::now();
  EXPECT_THROW(run_threads(4, [&](Communicator& c) {
    auto half = c.split(c.rank() / 2, 0);
    if (c.rank() == 2) throw DataError({.who = "rank 2's own"});
    const auto text = message_of<CommError>([&] {
      for (;;) (c.rank() == 3 ? *half : c).barrier().wait();  // in the split, and in the whole
    });
    EXPECT_THAT(text, testing::HasSubstr("rank 2"));
    ++ended;
  }), DataError);
  EXPECT_EQ(ended, 3);
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(60));  // far below the deadline of 300 s
}

TEST(RunThreads, ARankThatLeavesIsMissedAtOnce) {
  run_threads(3, [](Communicator& c) {
    if (c.rank() == 1) return;
    EXPECT_THAT(message_of<CommError>([&] { c.barrier().wait(); }), testing::HasSubstr("rank 1 has left"));
  });
}

TEST(FlightLog, IsReadableFromItsFile) {
  const auto folder = std::filesystem::temp_directory_path() / fmt::format("herd-flight-{}", getpid());
  std::filesystem::create_directories(folder);
  run_threads(2, [&](Communicator& c) {
    c.record_flight(folder);
    auto buffer = at::ones({3});
    for (int i = 0; i < 300; ++i) c.all_reduce(buffer, ReduceOp::kMax).wait();
    c.note("thinking");
    // Read while the rank still lives: nothing is flushed at its end.
    const auto flight = read_flight(folder / fmt::format("rank-{}.flight", c.rank()));
    EXPECT_EQ(flight.rank, c.rank());
    EXPECT_EQ(flight.activity, "thinking");
    ASSERT_EQ(flight.records.size(), 256u);
    EXPECT_EQ(flight.records.back().sequence, 300u);
    EXPECT_EQ(flight.records.back().bytes, 12u);
    EXPECT_EQ(flight.records.back().state, FlightRecord::kDone);
    EXPECT_STREQ(flight.records.back().text, "all_reduce(max) of Float [3]");
  });
  EXPECT_THROW(read_flight(folder / "rank-7.flight"), IoError);
  std::filesystem::remove_all(folder);
}

// A rank's log as it would be read, of operations `from` to `to`.
Flight made_flight(int rank, std::uint64_t from, std::uint64_t to, std::int64_t alive_us) {
  Flight flight{.rank = rank, .size = 3, .process = 7, .host = rank < 2 ? "n1" : "n2", .alive_us = alive_us, .activity = "step 4", .activity_us = 1, .records = {}};
  for (auto i = from; i <= to; ++i) {
    FlightRecord record{.number = i, .sequence = i, .bytes = 8, .entered_us = 1'000'000, .left_us = 0, .state = FlightRecord::kDone};
    std::strcpy(record.group, "all");
    std::strcpy(record.text, i % 2 ? "barrier" : "all_reduce(sum) of Float [2]");
    flight.records.push_back(record);
  }
  return flight;
}

TEST(FlightLog, ComparedItNamesWhoLagsDisagreesFellSilentOrIsMissing) {
  using testing::AllOf;
  using testing::ElementsAre;
  using testing::HasSubstr;
  const std::int64_t now = 1'000'000'000'000;
  EXPECT_THAT(compare_flights({made_flight(0, 1, 6, now), made_flight(1, 1, 6, now), made_flight(2, 3, 6, now)}), ElementsAre());
  EXPECT_THAT(compare_flights({made_flight(0, 1, 6, now), made_flight(1, 1, 6, now), made_flight(2, 1, 5, now)}),
              ElementsAre(AllOf(HasSubstr("rank 2 on n2 lags"), HasSubstr("has not entered all_reduce(sum) of Float [2] #6 of all"),
                                HasSubstr("its last was barrier #5, done"), HasSubstr("it was in: step 4"))));
  EXPECT_THAT(compare_flights({made_flight(0, 1, 6, now), made_flight(2, 1, 6, now - 5'000'000)}),
              ElementsAre(HasSubstr("rank 1 has left no log"), AllOf(HasSubstr("rank 2 on n2 fell silent"), HasSubstr("5.0 s before"))));
  auto stopped = made_flight(1, 1, 6, now);
  stopped.silent_us = 3'400'000, stopped.silent_until_us = now - 100'000;
  EXPECT_THAT(compare_flights({made_flight(0, 1, 6, now), stopped, made_flight(2, 1, 6, now)}), ElementsAre(HasSubstr("rank 1 on n1 was silent for 3.4 s")));
  auto slow = made_flight(1, 1, 6, now), waiting = made_flight(0, 1, 6, now);
  slow.records.back().entered_us += 4'500'000;
  EXPECT_THAT(compare_flights({waiting, slow, made_flight(2, 1, 6, now)}), ElementsAre());  // late, but it went well
  waiting.records.back().state = FlightRecord::kFailed;
  EXPECT_THAT(compare_flights({waiting, slow, made_flight(2, 1, 6, now)}), ElementsAre(AllOf(HasSubstr("rank 1 on n1 was late"), HasSubstr("4.5 s after"))));
  EXPECT_THAT(compare_flights({waiting, made_flight(1, 1, 6, now), made_flight(2, 1, 6, now)}),
              ElementsAre(HasSubstr("all ranks entered all_reduce(sum) of Float [2] #6 of all, which failed on rank 0 on n1")));
  auto other = made_flight(1, 1, 6, now);
  std::strcpy(other.records.back().text, "broadcast");
  EXPECT_THAT(compare_flights({made_flight(0, 1, 6, now), other, made_flight(2, 1, 7, now)}),
              testing::Contains(AllOf(HasSubstr("the ranks disagree on #6 of all"), HasSubstr("rank 1 on n1 entered broadcast"),
                                      HasSubstr("rank 0 on n1, rank 2 on n2 entered all_reduce(sum)"))));
}

TEST(FlightLog, SplitsAreTheirsByOneNameOnAllRanks) {
  const auto folder = std::filesystem::temp_directory_path() / fmt::format("herd-flight-{}", getpid());
  std::filesystem::create_directories(folder);
  run_threads(4, [&](Communicator& c) {
    c.record_flight(folder);
    auto half = c.split(c.rank() / 2, 0);
    half->barrier().wait();
    c.barrier().wait();
  });
  const auto flights = read_flights(folder);
  ASSERT_EQ(flights.size(), 4u);
  for (const auto& flight : flights) {
    ASSERT_EQ(flight.records.size(), 3u);
    EXPECT_STREQ(flight.records[1].group, flight.rank / 2 ? "all/1.1" : "all/1.0");
  }
  EXPECT_THAT(compare_flights(flights), testing::ElementsAre());
  std::filesystem::remove_all(folder);
}

TEST(Deadline, IsSharedWithSplitsThatHaveNoneOfTheirOwn) {
  run_threads(2, [&](Communicator& c) {
    auto shared = c.split(0, 0), own = c.split(0, 0, CommOptions{.deadline_s = 7});
    {
      const DeadlineScope longer(c, 50);
      EXPECT_EQ(shared->deadline_s(), 50);
      EXPECT_EQ(own->deadline_s(), 7);
    }
    EXPECT_EQ(shared->deadline_s(), 9);
  }, {.deadline_s = 9});
}

}  // namespace
}  // namespace herd::test
