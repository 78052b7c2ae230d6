// A checkpoint of any strategy on any number of ranks, read by any other: every element of every state, bit for bit.
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <fstream>
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

const nlohmann::json kAwkward{{"hidden_size", 28}, {"num_attention_heads", 2}};

/// A rank's part of a training, in bf16: masters and moments beside the parameters.
struct Part {
  Part(const std::string& strategy_name, const std::string& method, Communicator& c, const nlohmann::json& shape = kAwkward)
      : model(toy_model(5, shape, at::kBFloat16)) {
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
        CheckpointStore(folder, c, {.slice_bytes = n % 2 == 1 ? 300 : kSliceBytes}).save(1, {.slices = checkpoint_slices(*part.optimizer), .fingerprints = identity});
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

// --- How much a rank reads

// Bytes that this process has read of files so far, rchar of proc(5).
std::int64_t bytes_read() {
  std::ifstream io("/proc/self/io");
  std::string key;
  std::int64_t bytes = 0;
  io >> key >> bytes;
  return bytes;
}

/// Bytes of one rank.
struct Reading {
  std::int64_t own = 0;      // that it wants
  std::int64_t pieces = 0;   // of tensors
  std::int64_t touched = 0;  // of the stored slices that hold some of them
  std::int64_t read = 0;
};

/// Saved under `from` by `n` ranks, read under `to` by `m`.
struct Resharding {
  std::string from;
  int n;
  std::string to;
  int m;
  std::string text() const { return from + " on " + std::to_string(n) + ", read by " + to + " on " + std::to_string(m); }
};

// One rank after the other reads its part.
std::vector<Reading> readings(const Resharding& r, const nlohmann::json& shape, std::int64_t slice_bytes) {
  at::set_num_threads(1);
  const Scratch scratch;
  run_threads(r.n, [&](Communicator& c) {
    Part part(r.from, "none", c, shape);
    part.fill();
    CheckpointStore(scratch.path(), c, {.slice_bytes = slice_bytes}).save(1, {.slices = checkpoint_slices(*part.optimizer)});
  });
  std::vector<Reading> by_rank(static_cast<std::size_t>(r.m));
  run_threads(r.m, [&](Communicator& c) {
    Part part(r.to, "none", c, shape);
    const auto checkpoint = CheckpointStore(scratch.path(), c).find("auto");
    const auto wanted = checkpoint_slices(*part.optimizer);
    auto& reading = by_rank[static_cast<std::size_t>(c.rank())];
    for (const auto& w : wanted) {
      reading.own += static_cast<std::int64_t>(w.value.nbytes());
      reading.pieces += w.begin < w.end;
      for (const auto& tensor : checkpoint->manifest.tensors)
        if (tensor.state == w.state && tensor.name == w.name)
          for (const auto& slice : tensor.slices)
            if (slice.begin < w.end && w.begin < slice.end) reading.touched += (slice.end - slice.begin) * 4;
    }
    for (int rank = 0; rank < c.size(); ++rank) {
      c.barrier().wait();
      if (rank != c.rank()) continue;
      const auto before = bytes_read();
      read_slices(checkpoint->folder, checkpoint->manifest, wanted);
      reading.read = bytes_read() - before;
    }
    c.barrier().wait();
    part.optimizer->for_each_state([&](const Slice& slice, const std::string& kind, Tensor& state) {
      EXPECT_TRUE(at::equal(state, Part::values(slice, kind))) << slice.parameter->name;
    });
  });
  return by_rank;
}

constexpr std::int64_t kBeside = 1024;  // the count itself
// Parts of four ranks are halves of the parts of two.
const nlohmann::json kEven{{"vocab_size", 512}, {"hidden_size", 64}, {"intermediate_size", 96}};

TEST(Reshard, ARankReadsItsSlicesAlone) {
  if (bytes_read() == 0) GTEST_SKIP() << "no /proc/self/io here";
  for (const Resharding& r : std::vector<Resharding>{{"zero3", 4, "zero3", 4}, {"zero3", 4, "zero3", 2}, {"zero3", 4, "zero2", 1}, {"ddp", 2, "ddp", 2}}) {
    const auto by_rank = readings(r, kEven, kSliceBytes);
    double all = 0;
    for (const auto& rank : by_rank) all += static_cast<double>(rank.own);
    for (const auto& rank : by_rank) {
      EXPECT_NEAR(static_cast<double>(rank.own), all / r.m, 0.01 * all) << r.text();
      EXPECT_GE(rank.read, rank.own) << r.text();
      EXPECT_LE(rank.read, rank.own + kBeside) << r.text();
    }
  }
}

// A stored slice is compared with its checksum whole: of those that it shares with others a rank reads the rest too, at either end of its piece
// of a tensor. They are short; 1 KiB here.
TEST(Reshard, ARankReadsLittleMoreOfWhatItShares) {
  if (bytes_read() == 0) GTEST_SKIP() << "no /proc/self/io here";
  constexpr std::int64_t kSlice = 1024;
  for (const Resharding& r : std::vector<Resharding>{
           {"zero3", 1, "zero3", 4}, {"ddp", 4, "zero3", 4}, {"zero3", 2, "zero3", 5}, {"zero3", 3, "zero2", 4}, {"hsdp", 4, "zero1", 3}})
    for (const auto& shape : {kEven, kAwkward})
      for (const auto& rank : readings(r, shape, kSlice)) {
        EXPECT_GE(rank.read, rank.touched) << r.text();
        EXPECT_LE(rank.read, rank.touched + kBeside) << r.text();
        EXPECT_LT(rank.touched, rank.own + 2 * kSlice * rank.pieces) << r.text();
        if (shape == kEven) { EXPECT_LT(rank.read, rank.own + rank.own / 8) << r.text(); }
      }
}

}  // namespace
}  // namespace herd::test
