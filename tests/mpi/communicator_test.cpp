// The communicator's contract over MPI, and what only ranks with an end of their own can show. Runs under mpirun.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "parallel/comm/mpi.h"
#include "tests/support/communicator_contract.h"

namespace herd::test {
namespace {

// MPI lives once a process, from the first test to the last.
std::unique_ptr<MpiWorld>& world() {
  static std::unique_ptr<MpiWorld> world = std::make_unique<MpiWorld>();
  return world;
}
class World : public testing::Environment {
 public:
  void SetUp() override { world(); }
  void TearDown() override { world().reset(); }
};
const auto* const kWorld = testing::AddGlobalTestEnvironment(new World);

// An exception on one rank would leave the others waiting: it ends them all.
Ranks mpi(std::string name, CommOptions options) {
  return {std::move(name), [options](const auto& body) {
            auto communicator = world()->communicator(options);
            try {
              body(*communicator);
            } catch (const std::exception& e) {
              communicator->abort(1, fmt::format("rank {}: {}", communicator->rank(), e.what()));
            }
          }};
}

// In pieces of 40 bytes every message of the contract over a few numbers is cut, in the middle of reductions too.
INSTANTIATE_TEST_SUITE_P(Mpi, CommunicatorContract,
                         testing::Values(mpi("plain", {}), mpi("pieces", {.piece_bytes = 40}), mpi("checked", {.piece_bytes = 1000, .check = true})),
                         [](const auto& info) { return info.param.name; });

std::string words(const std::function<void()>& body) {
  try {
    body();
  } catch (const CommError& e) {
    return e.what();
  }
  return "nothing thrown";
}

TEST(Mpi, KnowsItsPlace) {
  auto c = world()->communicator();
  EXPECT_EQ(c->backend(), "mpi");
  EXPECT_EQ(c->local_rank(), c->rank());  // one machine
  EXPECT_EQ(c->local_size(), c->size());
  EXPECT_EQ(c->node_rank(), 0);
  EXPECT_EQ(c->node_count(), 1);
  EXPECT_THROW(MpiWorld second, CommError);
}

// Over every size of message: at once, one round, several rounds; sums against a closed form, exact in fp32.
TEST(Mpi, LargeBuffersTravelInRounds) {
  auto c = world()->communicator();
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
  auto all = world()->communicator();
  if (all->size() == 1) GTEST_SKIP() << "needs two ranks";
  auto c = world()->communicator({.deadline_s = 0.2});
  const int last = c->size() - 1;
  if (c->rank() == last) {
    c->note("reading shard 12");
    all->barrier().wait();  // until the others have given up
    EXPECT_THAT(words([&] { c->barrier().wait(); }), testing::HasSubstr("out of use since: rank"));
  } else {
    for (std::int64_t elements : {1000, 100'000}) {
      auto buffer = at::ones({elements});
      const auto text = words([&] { c->all_reduce(buffer).wait(); });
      if (elements == 1000) {
        EXPECT_THAT(text, testing::AllOf(testing::HasSubstr("all_reduce #1"), testing::HasSubstr("Float [1000]"), testing::HasSubstr("3.91 KiB"),
                                         testing::HasSubstr(fmt::format("rank {} has not entered it", last)),
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
  auto all = world()->communicator();
  if (all->size() == 1) GTEST_SKIP() << "needs two ranks";
  auto c = world()->communicator({.deadline_s = 0.2});
  if (c->rank()) {
    auto buffer = at::ones({1'000'000});
    EXPECT_THAT(words([&] { c->all_reduce(buffer).wait(); }), testing::HasSubstr("rank 0 has not entered it"));
  }
  all->barrier().wait();
}

TEST(Mpi, ARankThatLeavesIsMissedAtOnce) {
  auto all = world()->communicator();
  if (all->size() == 1) GTEST_SKIP() << "needs two ranks";
  auto c = world()->communicator();
  c->barrier().wait();
  if (c->rank() == 0) {
    auto unheeded = c->barrier();  // entered, never waited for
    c.reset();
  } else {
    c->barrier().wait();
    EXPECT_THAT(words([&] { c->barrier().wait(); }), testing::HasSubstr("rank 0 has left without entering it"));
  }
  all->barrier().wait();
}

TEST(Mpi, ChecksNameBothSides) {
  auto all = world()->communicator();
  if (all->size() == 1) GTEST_SKIP() << "needs two ranks";
  auto c = world()->communicator({.check = true});
  auto buffer = at::ones({c->rank() == 1 ? 11 : 10});
  EXPECT_THAT(words([&] { c->all_reduce(buffer).wait(); }), testing::HasSubstr("rank 1 entered all_reduce(sum) of Float [11]"));
  if (c->size() == 2) {
    auto d = world()->communicator({.check = true});
    const std::vector<std::int64_t> send{1, 1}, receive = d->rank() ? std::vector<std::int64_t>{2, 1} : std::vector<std::int64_t>{1, 1};
    auto output = at::ones({d->rank() ? 3 : 2});
    EXPECT_THAT(words([&] { d->all_to_all(output, at::ones({2}), send, receive).wait(); }),
                testing::HasSubstr("rank 0 sends 1 elements to rank 1, which receives 2"));
  }
#ifdef NDEBUG
  // Without the check another length is still seen, and the remedy named.
  auto unchecked = world()->communicator();
  EXPECT_THAT(words([&] { unchecked->all_reduce(buffer).wait(); }), testing::HasSubstr("the ranks disagree on this operation"));
#endif
  all->barrier().wait();
}

// A few bytes take tens of microseconds where cores are free; the bound catches a rest of milliseconds in the loop.
TEST(Mpi, SmallMessagesAreQuick) {
  auto c = world()->communicator();
  auto buffer = at::ones({2}, at::kDouble);
  std::vector<double> times;
  for (int i = 0; i < 200; ++i) {
    const auto began = std::chrono::steady_clock::now();
    c->all_reduce(buffer, ReduceOp::kMax).wait();
    times.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count());
  }
  std::nth_element(times.begin(), times.begin() + 100, times.end());
  RecordProperty("median_us", static_cast<int>(times[100] * 1e6));
  if (c->rank() == 0) std::printf("median of a small all_reduce on %d ranks: %.0f us\n", c->size(), times[100] * 1e6);
  EXPECT_LT(times[100], 2e-3);
}

}  // namespace
}  // namespace herd::test
