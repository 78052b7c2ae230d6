// What the strategies send, to the byte, against Rajbhandari et al. 2020, section 7. Runs under mpirun.
#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "data/batches.h"
#include "parallel/comm/agree.h"
#include "parallel/comm/backends.h"
#include "parallel/strategy.h"
#include "peft/peft_options.h"
#include "peft/registry.h"
#include "tests/support/small_run.h"
#include "tests/support/toy_model.h"
#include "tests/support/watched.h"

namespace herd::test {
namespace {

std::unique_ptr<Communicator>& world() {
  static std::unique_ptr<Communicator> world = make_communicator("mpi");
  return world;
}
// What this rank has sent on communicators that are gone: strategies' own.
std::uint64_t& sent_on_splits() {
  static std::uint64_t sent = 0;
  return sent;
}
// tests/e2e/traffic_test.py holds this against what OpenMPI counted.
class Parting : public testing::Environment {
 public:
  void TearDown() override {
    const auto lines = all_gather_string(*world(), std::to_string(world()->stats().sent() + sent_on_splits()));
    for (std::size_t rank = 0; rank < lines.size() && world()->rank() == 0; ++rank) fmt::print("rank {} sent {} bytes\n", rank, lines[rank]);
#ifdef HERD_CHECK_COLLECTIVES
    if (world()->rank() == 0) fmt::print("ranks compared each operation first\n");
#endif
    world()->barrier().wait();
    world().reset();
  }
};
const auto* const kParting = testing::AddGlobalTestEnvironment(new Parting);

// No parameter leaves a gap in its row: all sizes are multiples of 32.
const nlohmann::json kShape{{"vocab_size", 64}, {"hidden_size", 64}, {"intermediate_size", 96}, {"num_attention_heads", 4}, {"num_key_value_heads", 2},
                            {"num_hidden_layers", 3}, {"tie_word_embeddings", false}};
constexpr std::uint64_t kGradient = 4;  // bytes: fp32

struct Sizes {
  std::uint64_t trained = 0, all = 0;     // parameters
  std::uint64_t bytes = 0, blocks = 0, ends = 0, trained_bytes = 0;  // bytes of all values, of those in blocks, of embedding and head
};

Sizes sizes_of(CausalLm& model) {
  Sizes s;
  for_each_parameter(model, [&](const std::string& name, Parameter& p) {
    const auto count = static_cast<std::uint64_t>(p.value.numel()), bytes = count * p.value.element_size();
    s.all += count;
    s.bytes += bytes;
    (name.find("layers.") != std::string::npos ? s.blocks : s.ends) += bytes;
    if (!p.trainable) return;
    s.trained += count;
    s.trained_bytes += bytes;
  });
  return s;
}

struct Setting {
  std::string strategy, method = "none";
  at::ScalarType dtype = at::kFloat;
  int micro_batches = 1;
  ParallelOptions options{};
};

// What a rank sends on a strategy's own communicators: to the ranks that share a copy of the states, and to those with its part of the
// other copies. Where either are all ranks or this one alone, there is none for it.
struct Columns {
  std::uint64_t inside = 0, across = 0;
};

Columns note_splits(const Watched& c) {
  auto sent = c.sent_on_splits();
  sent.resize(2);
  sent_on_splits() += sent[0] + sent[1];
  return {sent[0], sent[1]};
}

std::uint64_t sum_over_ranks(std::uint64_t own) {
  std::uint64_t sum = 0;
  for (const auto& text : all_gather_string(*world(), std::to_string(own))) sum += std::stoull(text);
  return sum;
}

struct Sent {
  std::uint64_t all = 0;  // bytes of all ranks together in one step
  Sizes sizes;
  Columns columns{};      // of it
};

Sent traffic(const Setting& s) {
  Watched c(*world());
  const auto model = toy_model(5, kShape, s.dtype);
  PeftOptions peft{.method = s.method, .r = 32};
  attach(*model, peft, 3);
  const auto sizes = sizes_of(*model);
  const auto strategy = strategies().at(s.strategy).make({*model, c, s.options, 0});
  const auto examples = toy_examples(c.size() * s.micro_batches);
  const Batches batches(examples, {.global_batch_size = c.size() * s.micro_batches, .max_tokens = 30}, 0);
  const auto before = world()->stats().sent();
  const auto micro = batches.micro_batches(0, c.rank(), c.size(), 1);
  for (std::size_t i = 0; i < micro.size(); ++i) strategy->forward_backward(micro[i], 1, i + 1 == micro.size());
  strategy->finish_gradients();
  strategy->values_changed();
  const auto on_world = world()->stats().sent() - before;
  const auto own = note_splits(c);
  const Columns columns{sum_over_ranks(own.inside), sum_over_ranks(own.across)};
  return {sum_over_ranks(on_world) + columns.inside + columns.across, sizes, columns};
}

std::uint64_t others() { return static_cast<std::uint64_t>(world()->size()) - 1; }

class Traffic : public testing::Test {
 protected:
  void SetUp() override { at::set_num_threads(1); }
};

TEST_F(Traffic, DdpSendsTwiceTheGradients) {
  for (const auto& method : {"none", "lora"})
    for (const int micro_batches : {1, 3}) {
      const auto [sent, sizes, _] = traffic({.strategy = "ddp", .method = method, .micro_batches = micro_batches});
      EXPECT_EQ(sent, 2 * others() * kGradient * sizes.trained) << method;
    }
  EXPECT_EQ(traffic({.strategy = "ddp", .options = {.reduce_dtype = ReduceDtype::kBf16}}).all, traffic({.strategy = "ddp"}).all / 2);
}

TEST_F(Traffic, ZeroOneAndTwoSendGradientsOnceAndValuesOnce) {
  for (const auto& strategy : {"zero1", "zero2"})
    for (const auto& method : {"none", "lora"})
      for (const auto dtype : {at::kFloat, at::kBFloat16}) {
        const auto [sent, sizes, _] = traffic({.strategy = strategy, .method = method, .dtype = dtype});
        EXPECT_EQ(sent, others() * (kGradient * sizes.trained + sizes.trained_bytes)) << strategy << " " << method;
      }
}

TEST_F(Traffic, AccumulationCostsZeroTwoAReductionEachUnlessToldOtherwise) {
  auto [sent, sizes, _] = traffic({.strategy = "zero2", .micro_batches = 3});
  EXPECT_EQ(sent, others() * (3 * kGradient * sizes.trained + sizes.trained_bytes));
  EXPECT_EQ(traffic({.strategy = "zero2", .micro_batches = 3, .options = {.reduce_each_micro_batch = false}}).all,
            others() * (kGradient * sizes.trained + sizes.trained_bytes));
}

// Blocks are gathered for the forward and for the backward. Head and embedding once: the head's forward and backward are one, and the gradient of
// a table of embeddings does not read it. So a little less than the paper's 3Ψ.
TEST_F(Traffic, ZeroThreeGathersBlocksTwiceAndTheEndsOnce) {
  for (const auto dtype : {at::kFloat, at::kBFloat16})
    for (const auto& method : {"none", "lora"}) {
      const auto [sent, sizes, _] = traffic({.strategy = "zero3", .method = method, .dtype = dtype});
      EXPECT_EQ(sent, others() * (kGradient * sizes.trained + 2 * sizes.blocks + sizes.ends)) << method;
      if (method == std::string("none") && dtype == at::kFloat) { EXPECT_LE(sent, 3 * others() * kGradient * sizes.all); }
    }
}

// As zero3 does inside a node, with every micro-batch, whatever the other nodes do; across nodes each part of the gradients is summed once a
// step. Shares of one rank and of all ranks are the two ends: ddp with values that move nowhere, and zero3.
TEST_F(Traffic, HsdpSendsPartsOfGradientsAloneAcrossNodes) {
  const auto ranks = static_cast<std::uint64_t>(world()->size());
  for (std::uint64_t share = 1; share <= ranks; ++share) {
    if (ranks % share != 0) continue;
    const auto copies = ranks / share;
    for (const auto dtype : {at::kFloat, at::kBFloat16})
      for (const auto& method : {"none", "lora"})
        for (const int micro_batches : {1, 3}) {
          const ParallelOptions options{.shard_degree = static_cast<std::int64_t>(share)};
          const auto [sent, sizes, columns] =
              traffic({.strategy = "hsdp", .method = method, .dtype = dtype, .micro_batches = micro_batches, .options = options});
          const auto gradients = kGradient * sizes.trained;
          const auto inside = copies * (share - 1) * static_cast<std::uint64_t>(micro_batches) * (gradients + 2 * sizes.blocks + sizes.ends);
          const auto across = 2 * (copies - 1) * gradients;
          EXPECT_EQ(sent, inside + across) << share << " share, " << method;
          if (share == 1 || copies == 1) continue;
          EXPECT_EQ(columns.inside, inside) << method;
          EXPECT_EQ(columns.across, across) << method;
        }
  }
}

// What `herd plan` says of this very rank, over parts that are uneven: no size here divides by anything.
TEST_F(Traffic, IsPlannedToTheByte) {
  ModelShape shape{.hidden_size = 44, .intermediate_size = 71, .num_hidden_layers = 3, .num_attention_heads = 2};
  shape.vocab_size = 331;
  for (const auto& strategy : {"ddp", "zero1", "zero2", "zero3"})
    for (const auto& method : {"none", "lora"})
      for (const int micro_batches : {1, 2, 5}) {
        auto config = small_run(strategy, method, shape, world()->size(), micro_batches);
        if (micro_batches == 2) config.parallel.reduce_dtype = ReduceDtype::kBf16;
        std::uint64_t before = 0;
        one_step(config, *world(), {.optimizer_made = [&] { before = world()->stats().sent(); }});
        const auto planned = footprint(config, {.ranks = world()->size(), .rank = world()->rank()}, kSmallRow, 0).sent;
        EXPECT_EQ(planned.inside, world()->stats().sent() - before) << strategy << " " << method << " " << micro_batches;
        EXPECT_EQ(planned.across, 0);
      }
}

TEST_F(Traffic, IsPlannedToTheByteOverNodes) {
  if (world()->size() != 4) GTEST_SKIP() << "needs two nodes of two ranks";
  ModelShape shape{.hidden_size = 44, .intermediate_size = 71, .num_hidden_layers = 3, .num_attention_heads = 2};
  shape.vocab_size = 331;
  for (const auto& method : {"none", "lora"})
    for (const int micro_batches : {1, 5}) {
      auto config = small_run("hsdp", method, shape, 4, micro_batches);
      config.parallel.shard_degree = 2;
      Watched c(*world());
      Columns sent;
      one_step(config, c, {.stepped = [&](Strategy&, AdamW&) { sent = note_splits(c); }});
      const auto planned = footprint(config, {.ranks = 4, .nodes = 2, .rank = c.rank()}, kSmallRow, 0).sent;
      EXPECT_EQ(planned.inside, sent.inside) << method << " " << micro_batches;
      EXPECT_EQ(planned.across, sent.across) << method << " " << micro_batches;
    }
}

}  // namespace
}  // namespace herd::test
