// The communicator's contract over NCCL. Runs under mpirun, a GPU a rank; skips where there
// are fewer. ./check --gpu builds it against a libtorch that has its CUDA part.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "parallel/comm/backends.h"
#include "parallel/comm/cuda_module.h"
#include "runtime/base/launcher.h"
#include "tests/support/communicator_contract.h"
#include "tests/support/errors.h"
#include "tests/support/on_gpu.h"

namespace herd::test {
namespace {

// Why these tests cannot run here; empty: they can.
const std::string& obstacle() {
  static const std::string why = [] {
    try {
      need_cuda_module();
      const auto gpus = static_cast<int>(visible_gpus().size());
      if (gpus < launcher().ranks && !ranks_share_gpus()) return fmt::format("{} ranks need as many GPUs; there are {}", launcher().ranks, gpus);
      return std::string();
    } catch (const ConfigError& e) {
      return std::string(e.what());
    }
  }();
  return why;
}
#define HERD_NEED_GPU() \
  if (!obstacle().empty()) GTEST_SKIP() << obstacle()

std::unique_ptr<Communicator>& world() {
  static std::unique_ptr<Communicator> world;
  return world;
}
std::unique_ptr<Communicator> all_ranks(CommOptions options = {}) {
  if (!world()) world() = make_communicator("nccl");
  return world()->split(0, 0, options);
}
class Parting : public testing::Environment {
 public:
  void TearDown() override { world().reset(); }
};
const auto* const kParting = testing::AddGlobalTestEnvironment(new Parting);

Ranks nccl(const std::string& variant, CommOptions options) {
  return {"nccl" + variant, [options](const auto& body) {
            if (!obstacle().empty()) GTEST_SKIP() << obstacle();
            OnGpu communicator(all_ranks(options));
            try {
              body(communicator);
            } catch (const std::exception& e) {
              world()->abort(1, fmt::format("rank {}: {}", communicator.rank(), e.what()));
            }
          }};
}
INSTANTIATE_TEST_SUITE_P(Gpu, CommunicatorContract,
                         testing::Values(nccl("", {}), nccl("InPieces", {.piece_bytes = 40}), nccl("Checked", {.piece_bytes = 1000, .check = true})),
                         [](const auto& info) { return info.param.name; });

TEST(Gpu, LargeBuffersGiveTheBitsOfTheCpu) {
  HERD_NEED_GPU();
  auto c = all_ranks();
  const auto gpu = c->devices().front();
  if (c->rank() == 0) std::printf("%d ranks on %s, %s\n", c->size(), gpu.str().c_str(), visible_gpus().front().c_str());
  for (auto dtype : {at::kFloat, at::kBFloat16, at::kHalf}) {
    for (std::int64_t elements : {1000, 30'011, 5'000'011}) {
      const auto mine = (at::sin(at::arange(elements, at::kFloat) * (0.37 + c->rank())) * 100).to(dtype);
      auto on_cpu = mine.clone(), on_gpu = mine.to(gpu);
      auto cpu_work = c->all_reduce(on_cpu), gpu_work = c->all_reduce(on_gpu);
      cpu_work.wait();
      gpu_work.wait();
      EXPECT_TRUE(at::equal(on_gpu.cpu(), on_cpu)) << elements << " x " << c10::toString(dtype);
    }
  }
}

// Neither the buffer nor its result may be given away while the GPU is still at work on them: dropped and freed at once, in turn with
// allocations of the same size, which the allocator would fill the hole with.
TEST(Gpu, BuffersStayUntilTheGpuIsDoneWithThem) {
  HERD_NEED_GPU();
  auto c = all_ranks();
  const auto options = at::TensorOptions().device(c->devices().front()).dtype(at::kFloat);
  auto kept = at::zeros({1 << 20}, options);
  for (int i = 0; i < 50; ++i) {
    auto part = at::full({1 << 20}, 1.f, options), sum = at::empty({(1 << 20) * c->size()}, options);
    auto work = c->all_gather(sum, part);
    part = Tensor();
    auto other = at::full({1 << 20}, 7.f, options);
    work.wait();
    kept += sum.narrow(0, (c->size() - 1) << 20, 1 << 20);
  }
  EXPECT_TRUE(at::equal(kept.cpu(), at::full({1 << 20}, 50.f)));
}

TEST(Gpu, ADeadlineNamesTheRankThatStaysAway) {
  HERD_NEED_GPU();
  auto all = all_ranks();
  if (all->size() == 1) GTEST_SKIP() << "needs two ranks";
  auto c = all_ranks({.deadline_s = 2});
  auto buffer = at::ones({1000}, at::TensorOptions().device(c->devices().front()));
  c->all_reduce(buffer).wait();
  if (c->rank() == c->size() - 1) {
    c->note("reading shard 12");
    all->barrier().wait();
  } else {
    const auto text = message_of<CommError>([&] {
      for (;;) {
        c->all_reduce(buffer).wait();
        static_cast<void>(buffer.sum().item<float>());
      }
    });
    EXPECT_THAT(text, testing::ContainsRegex(fmt::format("rank {} on [^ ]+ has not entered it after 2 s", c->size() - 1)));
    all->barrier().wait();
  }
  auto other = at::ones({3}, buffer.options());
  all->all_reduce(other).wait();  // another communicator goes on
  EXPECT_TRUE(at::equal(other.cpu(), at::full({3}, static_cast<float>(all->size()))));
}

}  // namespace
}  // namespace herd::test
