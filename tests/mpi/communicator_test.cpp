// The communicator's contract over MPI, and what only ranks with an end of their own can show. Runs under mpirun.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "parallel/comm/backends.h"
#include "parallel/comm/device_communicator.h"
#include "parallel/comm/latency.h"
#include "runtime/base/launcher.h"
#include "runtime/base/process.h"
#include "tests/support/communicator_contract.h"
#include "tests/support/errors.h"
#include "tests/support/stand_in_devices.h"

namespace herd::test {
namespace {

// MPI lives once a process, from the first test to the last; tests work on splits of it.
std::map<std::string, std::unique_ptr<Communicator>>& worlds() {
  static std::map<std::string, std::unique_ptr<Communicator>> worlds;
  return worlds;
}
std::unique_ptr<Communicator> all_ranks(const std::string& backend, CommOptions options = {}) {
  auto& world = worlds()[backend];
  if (!world) world = make_communicator(backend == "mpi" ? "auto" : backend);  // this program runs under mpirun
  return world->split(0, 0, options);
}
class Parting : public testing::Environment {
 public:
  void TearDown() override { worlds().clear(); }
};
const auto* const kParting = testing::AddGlobalTestEnvironment(new Parting);

// An exception on one rank would leave the others waiting: it ends them all.
Ranks ranks(const std::string& backend, const std::string& variant, CommOptions options, bool inside_another = false) {
  return {backend + variant, [=](const auto& body) {
            auto communicator = all_ranks(backend, options);
            if (inside_another) communicator = std::make_unique<LatencyCommunicator>(std::move(communicator), LatencyOptions{});
            try {
              body(*communicator);
            } catch (const std::exception& e) {
              communicator->abort(1, fmt::format("rank {}: {}", communicator->rank(), e.what()));
            }
          }};
}

// A new backend is tested by its line in the table. In pieces of 40 bytes every message over a few numbers is cut, in the middle of
// reductions too.
std::vector<Ranks> every_backend() {
  std::vector<Ranks> all;
  for (const auto& [name, entry] : backends()) {
    if (name == "self" && launcher().ranks > 1) continue;
    if (entry.device != "cpu") continue;  // tests/gpu
    all.push_back(ranks(name, "", {}));
    all.push_back(ranks(name, "InPieces", {.piece_bytes = 40}));
    all.push_back(ranks(name, "Checked", {.piece_bytes = 1000, .check = true}));
    all.push_back(ranks(name, "InsideAnother", {}, true));
  }
  return all;
}
INSTANTIATE_TEST_SUITE_P(Backends, CommunicatorContract, testing::ValuesIn(every_backend()), [](const auto& info) { return info.param.name; });

TEST(Backends, AutoFollowsTheLauncher) {
  EXPECT_EQ(launcher().name, "mpirun");
  if (launcher().ranks > 1) {
    EXPECT_THROW(make_communicator("self"), ConfigError) << "each rank would train alone";
  }
  EXPECT_THROW(make_communicator("mpl"), ConfigError);
}

TEST(Mpi, KnowsItsPlace) {
  auto c = all_ranks("mpi");
  EXPECT_EQ(c->backend(), "mpi") << "what auto takes under mpirun, with one rank too";
  EXPECT_EQ(c->local_rank(), c->rank());  // one machine
  EXPECT_EQ(c->local_size(), c->size());
  EXPECT_EQ(c->node_rank(), 0);
  EXPECT_EQ(c->node_count(), 1);
  EXPECT_THROW(make_communicator("mpi"), CommError) << "MPI starts once";
}

// Over every size of message: at once, one round, several rounds; sums against a closed form, exact in fp32.
TEST(Mpi, LargeBuffersTravelInRounds) {
  auto c = all_ranks("mpi");
  const int n = c->size();
  for (std::int64_t elements : {1000, 30'011, 1'500'007}) {
    auto buffer = at::arange(elements, at::kFloat).fmod_(1024).add_(c->rank());
    c->all_reduce(buffer).wait();
    auto expected = at::arange(elements, at::kFloat).fmod_(1024).mul_(n).add_(n * (n - 1) / 2);
    EXPECT_TRUE(at::equal(buffer, expected)) << elements;
    auto copy = c->rank() == n - 1 ? expected.clone() : at::zeros({elements});
    c->broadcast(copy, n - 1).wait();
    EXPECT_TRUE(at::equal(copy, expected)) << elements;
  }
}

TEST(Mpi, ADeadlineNamesTheRankAndWhatItDoes) {
  auto all = all_ranks("mpi");
  if (all->size() == 1) GTEST_SKIP() << "needs two ranks";
  auto c = all_ranks("mpi", {.deadline_s = 0.2});
  const int last = c->size() - 1;
  if (c->rank() == last) {
    c->note("reading shard 12");
    all->barrier().wait();  // until the others have given up
    EXPECT_THAT(message_of<CommError>([&] { c->barrier().wait(); }), testing::HasSubstr("out of use since: rank"));
  } else {
    for (std::int64_t elements : {1000, 100'000}) {
      auto buffer = at::ones({elements});
      const auto text = message_of<CommError>([&] { c->all_reduce(buffer).wait(); });
      if (elements == 1000) {
        EXPECT_THAT(text, testing::AllOf(testing::HasSubstr("all_reduce #1"), testing::HasSubstr("Float [1000]"), testing::HasSubstr("3.91 KiB"),
                                         testing::HasSubstr(fmt::format("rank {} on {} has not entered it", last, host_name())),
                                         testing::HasSubstr("last seen in: reading shard 12")));
      } else {
        EXPECT_THAT(text, testing::HasSubstr("out of use since: "));
      }
    }
    all->barrier().wait();
  }
  all->barrier().wait();  // another communicator goes on
}

TEST(Mpi, ALargeOperationUnderWayIsGivenUp) {
  auto all = all_ranks("mpi");
  if (all->size() == 1) GTEST_SKIP() << "needs two ranks";
  auto c = all_ranks("mpi", {.deadline_s = 0.2});
  if (c->rank()) {
    auto buffer = at::ones({1'000'000});
    EXPECT_THAT(message_of<CommError>([&] { c->all_reduce(buffer).wait(); }), testing::HasSubstr("rank 0 on " + host_name() + " has not entered it"));
  }
  all->barrier().wait();
}

TEST(Mpi, ARankThatLeavesIsMissedAtOnce) {
  auto all = all_ranks("mpi");
  if (all->size() == 1) GTEST_SKIP() << "needs two ranks";
  auto c = all_ranks("mpi");
  c->barrier().wait();
  if (c->rank() == 0) {
    auto unheeded = c->barrier();  // entered, never waited for
    c.reset();
  } else {
    c->barrier().wait();
    EXPECT_THAT(message_of<CommError>([&] { c->barrier().wait(); }), testing::HasSubstr("rank 0 on " + host_name() + " has left without entering it"));
  }
  all->barrier().wait();
}

TEST(Mpi, ChecksNameBothSides) {
  auto all = all_ranks("mpi");
  if (all->size() == 1) GTEST_SKIP() << "needs two ranks";
  auto c = all_ranks("mpi", {.check = true});
  auto buffer = at::ones({c->rank() == 1 ? 11 : 10});
  EXPECT_THAT(message_of<CommError>([&] { c->all_reduce(buffer).wait(); }),
              testing::HasSubstr("rank 1 on " + host_name() + " entered all_reduce(sum) of Float [11]"));
  if (c->size() == 2) {
    auto d = all_ranks("mpi", {.check = true});
    const std::vector<std::int64_t> send{1, 1}, receive = d->rank() ? std::vector<std::int64_t>{2, 1} : std::vector<std::int64_t>{1, 1};
    auto output = at::ones({d->rank() ? 3 : 2});
    EXPECT_THAT(message_of<CommError>([&] { d->all_to_all(output, at::ones({2}), send, receive).wait(); }),
                testing::HasSubstr("rank 0 sends 1 elements to rank 1, which receives 2"));
  }
#ifndef HERD_CHECK_COLLECTIVES
  // Without the check another length is still seen, later: at the deadline.
  auto unchecked = all_ranks("mpi", {.deadline_s = 0.2});
  EXPECT_THAT(message_of<CommError>([&] { unchecked->all_reduce(buffer).wait(); }), testing::HasSubstr("entered all_reduce(sum) of Float [11]"));
#endif
  all->barrier().wait();
}

// Devices that never answer, over MPI: the deadline asks the ranks' communication threads who has come how far, and all of them hear of it.
TEST(Mpi, ADeadlineOfADeviceNamesTheRankThatStaysAway) {
  auto all = all_ranks("mpi");
  if (all->size() == 1) GTEST_SKIP() << "needs two ranks";
  std::vector<int> members(static_cast<std::size_t>(all->size()));
  std::iota(members.begin(), members.end(), 0);
  auto link = std::make_unique<StandInLink>(std::make_shared<StandInWires>(), std::make_shared<StandInQueue>(std::chrono::microseconds(0)), "all",
                                            members, all->rank());
  // Only rank 0 loses patience: the others have entered, and wait.
  DeviceCommunicator c(all->split(0, 0, CommOptions{.deadline_s = all->rank() ? 20 : 0.3}), std::move(link), "stand-in");
  const int last = c.size() - 1;
  const auto failure = [&] {
    return message_of<CommError>([&] {
      for (auto buffer = at::ones({1000});; std::this_thread::sleep_for(std::chrono::milliseconds(5))) c.all_reduce(buffer).wait();
    });
  };
  if (c.rank() == last) {
    c.note("reading shard 12");
    all->barrier().wait();
    EXPECT_THAT(failure(), testing::HasSubstr("rank"));
  } else {
    EXPECT_THAT(failure(), testing::AllOf(testing::HasSubstr("all_reduce #1"), testing::HasSubstr("Float [1000]"),
                                          testing::HasSubstr(fmt::format("rank {} on {} has not entered it", last, host_name())),
                                          testing::HasSubstr("last seen in: reading shard 12")));
    all->barrier().wait();
  }
  all->barrier().wait();
}

// A few bytes take tens of microseconds where cores are free. The bound catches a rest of milliseconds in the loop, which would be there each time;
// the fastest tenth does not know how busy the machine is.
TEST(Mpi, SmallMessagesAreQuick) {
  auto c = all_ranks("mpi");
  auto buffer = at::ones({2}, at::kDouble);
  std::vector<double> times;
  for (int i = 0; i < 200; ++i) {
    const auto began = std::chrono::steady_clock::now();
    c->all_reduce(buffer, ReduceOp::kMax).wait();
    times.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count());
  }
  std::sort(times.begin(), times.end());
  RecordProperty("median_us", static_cast<int>(times[100] * 1e6));
  if (c->rank() == 0) std::printf("median of a small all_reduce on %d ranks: %.0f us\n", c->size(), times[100] * 1e6);
#ifdef __OPTIMIZE__  // debug and sanitizer builds are slow by themselves
  EXPECT_LT(times[20], 2e-3);
#endif
}

}  // namespace
}  // namespace herd::test
