// A checkpoint of any strategy on any number of ranks, read by any other: every element of every state, bit for bit.
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <mutex>

#include "parallel/checkpoint/store.h"
#include "parallel/comm/threads.h"
#include "parallel/strategy.h"
#include "peft/peft_options.h"
#include "peft/registry.h"
#include "runtime/base/random.h"
#include "tests/support/scratch.h"
#include "tests/support/toy_model.h"
#include "train/optimizer.h"
#include "train/resume.h"

namespace herd::test {
namespace {

constexpr int kMostRanks = 5;
const std::vector<std::string> kStrategies = strategies().names();

// The only divisors of 5 are itself and 1.
std::int64_t shard_degree(int ranks) { return ranks == 4 ? 2 : ranks; }

/// A rank's part of a training, in bf16: masters and moments beside the parameters.
struct Part {
  Part(const std::string& strategy_name, const std::string& method, Communicator& c) : model(toy_model(5, {{"hidden_size", 28}, {"num_attention_heads", 2}}, at::kBFloat16)) {
    PeftOptions peft{.method = method, .r = 3};
    peft.target_modules = {{"q_proj", "down_proj"}, false};
    attach(*model, peft, 3);
    ParallelOptions options{.bucket_bytes = 2048};
    options.shard_degree = shard_degree(c.size());
    strategy = strategies().at(strategy_name).make({*model, c, options, 0});
    optimizer.emplace(strategy->slices(), TrainOptions{});
  }
  // What an element holds is a function of its tensor, state and place.
  static Tensor values(const Slice& slice, const std::string& kind) {
    const auto places = at::arange(slice.begin, slice.end, at::kLong);
    return ((places * 7919 + static_cast<std::int64_t>(hash_name(slice.parameter->name + kind) % 10007)) % 65537 - 32768).to(at::kFloat) / 4096;
  }
  void fill() {
    optimizer->for_each_state([](const Slice& slice, const std::string& kind, Tensor& state) { state.copy_(values(slice, kind)); });
    optimizer->restored(7);
    strategy->values_changed();
  }

  std::unique_ptr<CausalLm> model;
  std::unique_ptr<Strategy> strategy;
  std::optional<AdamW> optimizer;
};

class Reshard : public testing::TestWithParam<std::string> {};

TEST_P(Reshard, EveryStateOfEveryElementArrives) {
  at::set_num_threads(1);
  const Scratch scratch;
  const Fingerprints identity{{"base model", "toy"}};
  for (const auto& from : kStrategies)
    for (int n = 1; n <= kMostRanks; ++n) {
      const auto folder = scratch.path() / (from + std::to_string(n));
      run_threads(n, [&](Communicator& c) {
        Part part(from, GetParam(), c);
        part.fill();
        CheckpointStore(folder, c).save(1, {.slices = checkpoint_slices(*part.optimizer), .fingerprints = identity});
      });
      for (const auto& to : kStrategies)
        for (int m = 1; m <= kMostRanks; ++m) {
          std::mutex mutex;
          std::int64_t elements = 0, expected = 0;
          run_threads(m, [&](Communicator& c) {
            Part part(to, GetParam(), c);
            CheckpointStore store(folder, c);
            store.read(*store.find("auto"), checkpoint_slices(*part.optimizer));
            part.optimizer->restored(7);
            part.strategy->values_changed();
            std::int64_t own = 0, wrong = 0;
            part.optimizer->for_each_state([&](const Slice& slice, const std::string& kind, Tensor& state) {
              own += slice.end - slice.begin;
              wrong += !at::equal(state, Part::values(slice, kind));
            });
            // And the parameters are the roundings of the masters, on every rank.
            part.strategy->with_whole_parameters(false, [&] {
              for_each_parameter(*part.model, [&](const std::string&, Parameter& p) {
                if (!p.trainable) return;
                const auto master = Part::values({&p, 0, p.value.numel(), {}, {}}, "value");
                wrong += !at::equal(p.value.detach().view(-1), master.to(p.value.scalar_type()));
              });
            });
            const std::lock_guard lock(mutex);
            EXPECT_EQ(wrong, 0) << from << " on " << n << ", read by " << to << " on " << m;
            elements += own;
            if (c.rank() == 0)
              for_each_parameter(*part.model, [&](const std::string&, Parameter& p) { expected += p.trainable ? 3 * p.value.numel() : 0; });
          });
          const auto copies = to == "ddp" ? m : to == "hsdp" ? m / shard_degree(m) : 1;
          ASSERT_EQ(elements, expected * copies) << to << " on " << m;
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Methods, Reshard, testing::Values("none", "lora"), [](const auto& info) { return info.param; });

}  // namespace
}  // namespace herd::test
