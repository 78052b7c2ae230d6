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

namespace herd::test {
namespace {

std::unique_ptr<Communicator>& world() {
  static std::unique_ptr<Communicator> world = make_communicator("mpi");
  return world;
}
// tests/e2e/traffic_test.py holds this against what OpenMPI counted.
class Parting : public testing::Environment {
 public:
  void TearDown() override {
    const auto lines = all_gather_string(*world(), std::to_string(world()->stats().sent()));
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

// Bytes that all ranks together send in one step; the sizes of the model beside them.
std::pair<std::uint64_t, Sizes> traffic(const Setting& s) {
  auto& c = *world();
  const auto model = toy_model(5, kShape, s.dtype);
  PeftOptions peft{.method = s.method, .r = 32};
  attach(*model, peft, 3);
  const auto sizes = sizes_of(*model);
  const auto strategy = strategies().at(s.strategy).make({*model, c, s.options, 0});
  const auto examples = toy_examples(c.size() * s.micro_batches);
  const Batches batches(examples, {.global_batch_size = c.size() * s.micro_batches, .max_tokens = 30}, 0);
  const auto before = c.stats().sent();
  const auto micro = batches.micro_batches(0, c.rank(), c.size(), 1);
  for (std::size_t i = 0; i < micro.size(); ++i) strategy->forward_backward(micro[i], 1, i + 1 == micro.size());
  strategy->finish_gradients();
  strategy->values_changed();
  const auto sent = c.stats().sent() - before;
  std::uint64_t sum = 0;
  for (const auto& text : all_gather_string(c, std::to_string(sent))) sum += std::stoull(text);
  return {sum, sizes};
}

std::uint64_t others() { return static_cast<std::uint64_t>(world()->size()) - 1; }

class Traffic : public testing::Test {
 protected:
  void SetUp() override { at::set_num_threads(1); }
};

TEST_F(Traffic, DdpSendsTwiceTheGradients) {
  for (const auto& method : {"none", "lora"})
    for (const int micro_batches : {1, 3}) {
      const auto [sent, sizes] = traffic({.strategy = "ddp", .method = method, .micro_batches = micro_batches});
      EXPECT_EQ(sent, 2 * others() * kGradient * sizes.trained) << method;
    }
  EXPECT_EQ(traffic({.strategy = "ddp", .options = {.reduce_dtype = ReduceDtype::kBf16}}).first, traffic({.strategy = "ddp"}).first / 2);
}

TEST_F(Traffic, ZeroOneAndTwoSendGradientsOnceAndValuesOnce) {
  for (const auto& strategy : {"zero1", "zero2"})
    for (const auto& method : {"none", "lora"})
      for (const auto dtype : {at::kFloat, at::kBFloat16}) {
        const auto [sent, sizes] = traffic({.strategy = strategy, .method = method, .dtype = dtype});
        EXPECT_EQ(sent, others() * (kGradient * sizes.trained + sizes.trained_bytes)) << strategy << " " << method;
      }
}

TEST_F(Traffic, AccumulationCostsZeroTwoAReductionEachUnlessToldOtherwise) {
  auto [sent, sizes] = traffic({.strategy = "zero2", .micro_batches = 3});
  EXPECT_EQ(sent, others() * (3 * kGradient * sizes.trained + sizes.trained_bytes));
  EXPECT_EQ(traffic({.strategy = "zero2", .micro_batches = 3, .options = {.reduce_each_micro_batch = false}}).first,
            others() * (kGradient * sizes.trained + sizes.trained_bytes));
}

// Blocks are gathered for the forward and for the backward. Head and embedding once: the head's forward and backward are one, and the gradient of
// a table of embeddings does not read it. So a little less than the paper's 3Ψ.
TEST_F(Traffic, ZeroThreeGathersBlocksTwiceAndTheEndsOnce) {
  for (const auto dtype : {at::kFloat, at::kBFloat16})
    for (const auto& method : {"none", "lora"}) {
      const auto [sent, sizes] = traffic({.strategy = "zero3", .method = method, .dtype = dtype});
      EXPECT_EQ(sent, others() * (kGradient * sizes.trained + 2 * sizes.blocks + sizes.ends)) << method;
      if (method == std::string("none") && dtype == at::kFloat) { EXPECT_LE(sent, 3 * others() * kGradient * sizes.all); }
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

}  // namespace
}  // namespace herd::test
