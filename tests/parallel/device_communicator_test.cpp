// The part of the nccl backend that needs no GPU, on stand-ins for devices: the whole contract, and what a device's own queue adds to it.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "parallel/comm/device_communicator.h"
#include "parallel/comm/threads.h"
#include "tests/support/communicator_contract.h"
#include "tests/support/errors.h"
#include "tests/support/on_gpu.h"
#include "tests/support/stand_in_devices.h"

namespace herd::test {
namespace {

using std::chrono::microseconds;

class OnDevices {
 public:
  explicit OnDevices(int ranks, CommOptions options = {}, microseconds pause = microseconds(0)) : ranks_(ranks), options_(options), pause_(pause) {}

  void run(const std::function<void(Communicator&, StandInLink&)>& body) {
    const auto wires = std::make_shared<StandInWires>();
    std::vector<int> all(static_cast<std::size_t>(ranks_));
    std::iota(all.begin(), all.end(), 0);
    run_threads(ranks_, [&](Communicator& c) {
      auto link = std::make_unique<StandInLink>(wires, std::make_shared<StandInQueue>(pause_), "all", all, c.rank());
      auto& device = *link;
      DeviceCommunicator communicator(c.split(0, 0), std::move(link), "stand-in");
      body(communicator, device);
    }, options_);
  }

 private:
  int ranks_;
  CommOptions options_;
  microseconds pause_;
};

Ranks devices(int ranks, const std::string& variant = "", CommOptions options = {}, microseconds pause = microseconds(0)) {
  return {fmt::format("devices{}{}", ranks, variant), [=](const auto& body) {
            OnDevices(ranks, options, pause).run([&](Communicator& c, StandInLink&) { body(c); });
          }};
}
// As tests/gpu brings the contract to a GPU; up and down are copies within one memory here.
Ranks carried(int ranks) {
  return {fmt::format("carried{}", ranks), [=](const auto& body) {
            OnDevices(ranks).run([&](Communicator& c, StandInLink&) {
              OnGpu carried(c.split(0, 0));
              body(carried);
            });
          }};
}
INSTANTIATE_TEST_SUITE_P(Backends, CommunicatorContract,
                         testing::Values(devices(1), devices(2), devices(3), devices(4), devices(3, "InPieces", {.piece_bytes = 40}),
                                         devices(3, "Checked", {.piece_bytes = 1000, .check = true}), devices(2, "Slow", {}, microseconds(100)), carried(3)),
                         [](const auto& info) { return info.param.name; });

// Longer than what is summed at one go, in several rounds, parts of several lengths.
TEST(Devices, LargeBuffersAreSummedInRounds) {
  OnDevices(3, {.piece_bytes = 30'000}).run([](Communicator& c, StandInLink&) {
    auto buffer = at::arange(100'003, at::kFloat).fmod_(1024).add_(c.rank());
    const auto expected = at::arange(100'003, at::kFloat).fmod_(1024).mul_(3).add_(3);
    auto part = at::empty({even_counts(100'003, 3)[static_cast<std::size_t>(c.rank())]});
    c.reduce_scatter(part, buffer).wait();
    expect_equal(part, slice(expected, c.rank(), 3), "reduce_scatter");
    c.all_reduce(buffer).wait();
    expect_equal(buffer, expected, "all_reduce");
  });
}

TEST(Devices, MemoryStaysUntilTheDeviceIsDoneWithIt) {
  std::atomic<bool> freed = false;
  OnDevices(2, {}, microseconds(20'000)).run([&](Communicator& c, StandInLink&) {
    std::vector<float> memory(4, 1.f);
    auto buffer = at::from_blob(memory.data(), {4}, [&](void*) { if (c.rank() == 0) freed = true; }, at::kFloat);
    { auto forgotten = c.all_reduce(buffer); }
    buffer = Tensor();
    EXPECT_FALSE(freed) << "the device has not begun";
    for (int i = 0; i < 5000 && c.stats().done < 1; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    EXPECT_EQ(memory, std::vector<float>(4, 2.f));
    for (int i = 0; i < 5000 && c.rank() == 0 && !freed; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    c.barrier().wait();
  });
  EXPECT_TRUE(freed) << "and is let go of then";
}

std::string first_failure(Communicator& c) {
  return message_of<CommError>([&] {
    for (;;) c.all_reduce(at::ones({1000})).wait();
  });
}

TEST(Devices, ADeadlineNamesTheRankThatStaysAwayAndEndsTheGroup) {
  std::atomic<int> told = 0;
  OnDevices(4, {.deadline_s = 0.3}).run([&](Communicator& c, StandInLink&) {
    auto beside = c.split(0, 0, CommOptions{.deadline_s = 60});
    if (c.rank() == 2) {
      c.note("reading shard 12");
      while (told < 3) std::this_thread::yield();
      EXPECT_THAT(first_failure(c), testing::HasSubstr("rank 2 has not entered it"));
    } else {
      EXPECT_THAT(first_failure(c), testing::AllOf(testing::HasSubstr("all_reduce #"), testing::HasSubstr("Float [1000]"),
                                                   testing::HasSubstr("rank 2 has not entered it after 0.3 s; rank 2 was last seen in: reading shard 12")));
      EXPECT_THAT(first_failure(c), testing::HasSubstr("out of use since: "));
      ++told;
    }
    auto buffer = at::ones({3});
    beside->all_reduce(buffer).wait();  // another communicator goes on
    expect_equal(buffer, at::full({3}, 4.0), "beside");
  });
}

TEST(Devices, AnErrorOfOneDeviceEndsAllRanksLongBeforeTheirDeadlines) {
  const auto began = std::chrono::steady_clock::now();
  OnDevices(3, {.deadline_s = 60}).run([&](Communicator& c, StandInLink& device) {
    if (c.rank() == 1) device.break_down("an unhandled device error");
    const auto text = first_failure(c);
    EXPECT_THAT(text, testing::HasSubstr(c.rank() == 1 ? "an unhandled device error" : "rank 1"));
  });
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(30));
}

TEST(Devices, TensorsOnOtherDevicesAreRefused) {
  OnDevices(1).run([](Communicator& c, StandInLink&) {
    const auto text = message_of<ShapeError>([&] { c.all_reduce(at::ones({2}, at::TensorOptions().device(at::kMeta))).wait(); });
    EXPECT_THAT(text, testing::HasSubstr("on meta"));
  });
}

}  // namespace
}  // namespace herd::test
