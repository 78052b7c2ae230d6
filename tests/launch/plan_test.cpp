// What `herd plan` says a rank holds, against what a run of a small model allocates; and the command.
#include "launch/plan.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "models/registry.h"
#include "parallel/checkpoint/store.h"
#include "parallel/comm/threads.h"
#include "runtime/base/exit_codes.h"
#include "runtime/base/text.h"
#include "runtime/nn/quantise.h"
#include "tests/launch/ascii_tokenizer.h"
#include "tests/support/counting_allocator.h"
#include "tests/support/errors.h"
#include "tests/support/run_herd.h"
#include "tests/support/scratch.h"
#include "tests/support/shape_of_family.h"
#include "tests/support/small_run.h"
#include "train/resume.h"

namespace herd::test {
namespace {
using testing::AllOf;
using testing::HasSubstr;

// --- What a dry run finds

// Activations, parameters and gradients weigh alike.
ModelShape shape() {
  ModelShape shape{.hidden_size = 128, .intermediate_size = 352, .num_hidden_layers = 4, .num_attention_heads = 4};
  shape.num_key_value_heads = 2;
  shape.vocab_size = 512;
  return shape;
}

struct Measured {
  std::int64_t parameters_and_gradients = 0, states = 0, peak = 0;
  std::int64_t snapshot = 0, result = 0;
};

// By rank: each is a thread.
// @param folder to save a checkpoint in; none: nothing is saved.
std::vector<Measured> measure(const RunConfig& config, int ranks, const std::filesystem::path& folder = {}) {
  at::set_num_threads(1);
  std::vector<Measured> by_rank(static_cast<std::size_t>(ranks));
  const CountingAllocator counting;
  run_threads(ranks, [&](Communicator& c) {
    auto& m = by_rank[static_cast<std::size_t>(c.rank())];
    auto& memory = counting.of_this_thread();
    const auto save = [&](Strategy& strategy, AdamW& optimizer) {
      m.peak = memory.peak;
      if (folder.empty()) return;
      CheckpointStore store(folder, c, {.async = true});
      const auto live = memory.live.load();
      store.save(1, {.slices = checkpoint_slices(optimizer)});
      m.snapshot = memory.live - live;
      store.finish();
      memory.forget_peak();
      const auto before = memory.peak.load();
      strategy.with_whole_parameters(false, [] {});
      m.result = memory.peak - before;
    };
    one_step(config, c,
             {.strategy_made = [&] { m.parameters_and_gradients = memory.live; },
              .optimizer_made =
                  [&] {
                    m.states = memory.live;
                    memory.forget_peak();
                  },
              .stepped = save});
    c.barrier().wait();
  });
  return by_rank;
}

using Case = std::tuple<std::string, std::string, Recompute, int>;

// Numbers of two bytes and of four, each on one rank and on several.
Precision dtype_of(const Case& c) {
  return std::get<3>(c) == 2 || (std::get<3>(c) == 1 && std::get<1>(c) == "lora") ? Precision::kFp32 : Precision::kBf16;
}

std::string name(const testing::TestParamInfo<Case>& info) {
  const auto& [strategy, method, recompute, ranks] = info.param;
  return fmt::format("{}_{}_{}_{}", strategy, method, recompute == Recompute::kNone ? "kept" : recompute == Recompute::kFull ? "recomputed" : "selective", ranks);
}

class PlannedMemory : public testing::TestWithParam<Case> {};

// States to the byte. What the plan leaves out of the peak are temporaries inside libtorch's own functions (most of all a mask turned into
// numbers, where LoRA drops) and inside the backend.
TEST_P(PlannedMemory, IsWhatARunAllocates) {
  const auto& [strategy, method, recompute, ranks] = GetParam();
  auto config = small_run(strategy, method, shape(), ranks, 4);
  config.model.dtype = dtype_of(GetParam());
  config.train.activation_checkpointing = recompute;
  const auto measured = measure(config, ranks);
  for (int rank = 0; rank < ranks; ++rank) {
    const auto planned = footprint(config, {.ranks = ranks, .rank = rank}, kSmallRow, 0).memory;
    const auto& m = measured[static_cast<std::size_t>(rank)];
    EXPECT_EQ(planned.parameters + planned.gradients, m.parameters_and_gradients) << "rank " << rank;
    EXPECT_EQ(planned.optimizer, m.states - m.parameters_and_gradients) << "rank " << rank;
    const auto ratio = static_cast<double>(planned.step_peak()) / static_cast<double>(m.peak);
    EXPECT_NEAR(ratio, 1, ranks == 1 && method == "none" ? 0.01 : 0.1) << "rank " << rank;
  }
}

INSTANTIATE_TEST_SUITE_P(Runs, PlannedMemory,
                         testing::Combine(testing::Values("ddp", "zero1", "zero2", "zero3"), testing::Values("none", "lora"),
                                          testing::Values(Recompute::kNone, Recompute::kFull), testing::Values(1, 2)),
                         name);
INSTANTIATE_TEST_SUITE_P(Uneven, PlannedMemory,
                         testing::Combine(testing::Values("ddp", "zero1", "zero2", "zero3"), testing::Values("none", "lora"),
                                          testing::Values(Recompute::kNone), testing::Values(3)),
                         name);

INSTANTIATE_TEST_SUITE_P(Selective, PlannedMemory,
                         testing::Combine(testing::Values("ddp", "zero3"), testing::Values("none", "lora"),
                                          testing::Values(Recompute::kSelective), testing::Values(2)),
                         name);

// Ranks that have the same slices write whole tensors each, so that one of them copies more than another; together it is the checkpoint.
TEST(Footprint, OfASave) {
  for (const auto& strategy : {"ddp", "zero3"}) {
    const Scratch scratch;
    const auto config = small_run(strategy, "lora", shape(), 2, 1);
    const auto measured = measure(config, 2, scratch.path());
    const auto first = footprint(config, {.ranks = 2, .rank = 0}, kSmallRow, 0),
               second = footprint(config, {.ranks = 2, .rank = 1}, kSmallRow, 0);
    EXPECT_EQ(first.memory.snapshot + second.memory.snapshot, measured[0].snapshot + measured[1].snapshot) << strategy;
    EXPECT_NEAR(static_cast<double>(first.memory.snapshot), static_cast<double>(measured[0].snapshot),
                0.1 * static_cast<double>(measured[0].snapshot))
        << strategy;
    EXPECT_EQ(first.memory.result, measured[0].result) << strategy;
    EXPECT_EQ(first.checkpoint_bytes, measured[0].snapshot + measured[1].snapshot) << strategy;
  }
}

TEST(Footprint, OfHsdpOnSeveralCopies) {
  auto config = small_run("hsdp", "none", shape(), 4, 2);
  config.parallel.shard_degree = 2;
  const auto measured = measure(config, 4);
  for (int rank = 0; rank < 4; ++rank) {
    const auto planned = footprint(config, {.ranks = 4, .rank = rank}, kSmallRow, 0).memory;
    const auto& m = measured[static_cast<std::size_t>(rank)];
    EXPECT_EQ(planned.states(), m.states) << "rank " << rank;
    EXPECT_NEAR(static_cast<double>(planned.step_peak()), static_cast<double>(m.peak), 0.1 * static_cast<double>(m.peak)) << "rank " << rank;
  }
}

// A new line of either table is planned by being there.
TEST(Footprint, OfEveryMethodAndFamily) {
  for (const auto& family : families().names())
    for (const auto& method : peft_methods().names()) {
      auto config = small_run("ddp", method, shape(), 1, 2);
      config.model.family = family;
      config.model.config = shape_of_family(family, shape());
      if (method == "bitfit" && outcome_of<ConfigError>([&] { model_shape(config, 0); }) != kNoError) continue;  // nothing to train
      const auto measured = measure(config, 1).front();
      const auto planned = footprint(config, {}, kSmallRow, 0).memory;
      EXPECT_EQ(planned.states(), measured.states) << family << " " << method;
      EXPECT_NEAR(static_cast<double>(planned.step_peak()), static_cast<double>(measured.peak), 0.1 * static_cast<double>(measured.peak))
          << family << " " << method;
    }
}

// A quantised base: its parts to the byte, and the tiles of its products.
TEST(Footprint, OfEveryStorage) {
  for (const auto& storage : weight_storages().names())
    for (const auto& strategy : {"ddp", "zero3"})
      for (const int ranks : {1, 2}) {
        auto config = small_run(strategy, "lora", shape(), ranks, 2);
        config.model.quantization = QuantOptions{.method = storage, .group_size = 32};
        config.model.dtype = Precision::kBf16;
        const auto measured = measure(config, ranks);
        for (int rank = 0; rank < ranks; ++rank) {
          const auto planned = footprint(config, {.ranks = ranks, .rank = rank}, kSmallRow, 0);
          const auto& m = measured[static_cast<std::size_t>(rank)];
          EXPECT_EQ(planned.memory.states(), m.states) << storage << " " << strategy << " rank " << rank;
          EXPECT_NEAR(static_cast<double>(planned.memory.step_peak()), static_cast<double>(m.peak), 0.1 * static_cast<double>(m.peak))
              << storage << " " << strategy << " rank " << rank;
          config.model.quantization.reset();
          EXPECT_EQ(planned.parameters, footprint(config, {.ranks = ranks, .rank = rank}, kSmallRow, 0).parameters) << "numbers of the model, however they are kept";
          config.model.quantization = QuantOptions{.method = storage, .group_size = 32};
        }
      }
}

// The bases of the issue's bounds: what LLaMA-7B keeps, embedding and head in bf16.
TEST(Footprint, OfQuantisedLlama) {
  ModelShape llama{.hidden_size = 4096, .intermediate_size = 11008, .num_hidden_layers = 32, .num_attention_heads = 32};
  llama.vocab_size = 32000;
  auto config = small_run("ddp", "lora", llama, 1, 1);
  config.model.dtype = Precision::kBf16;
  const auto dense = static_cast<double>(footprint(config, {}, 512, 0).memory.parameters);
  for (const auto& [storage, most] : {std::pair{"nf4", 0.30}, std::pair{"fp4", 0.30}, std::pair{"gptq", 0.30}, std::pair{"int8", 0.55}}) {
    config.model.quantization = QuantOptions{.method = storage};
    EXPECT_LT(static_cast<double>(footprint(config, {}, 512, 0).memory.parameters), most * dense) << storage;
  }
}

// Parts of the kinds, by the strategies' own arithmetic (docs/parallel.md).
TEST(Footprint, KindsAreToldApart) {
  auto config = small_run("zero3", "none", shape(), 4, 1);
  config.model.dtype = Precision::kBf16;
  const auto f = footprint(config, {.ranks = 4, .nodes = 2}, kSmallRow, 0);
  const auto n = static_cast<double>(f.parameters);
  EXPECT_EQ(f.trained, f.parameters);
  EXPECT_NEAR(static_cast<double>(f.memory.parameters), 2 * n / 4, 0.01 * n);
  EXPECT_NEAR(static_cast<double>(f.memory.gradients), 4 * n / 4, 0.01 * n);
  EXPECT_NEAR(static_cast<double>(f.memory.optimizer), 12 * n / 4, 0.01 * n);
  EXPECT_EQ(f.checkpoint_bytes, 12 * f.parameters);
  EXPECT_EQ(f.memory.snapshot, f.memory.optimizer);
  // Two of the three others are on the other node.
  EXPECT_NEAR(static_cast<double>(f.sent.across), 2.0 * static_cast<double>(f.sent.inside), 0.01 * static_cast<double>(f.sent.inside));
}

TEST(Footprint, HsdpKeepsAllButGradientsInsideANode) {
  const auto config = small_run("hsdp", "none", shape(), 4, 1);
  const auto f = footprint(config, {.ranks = 4, .nodes = 2}, kSmallRow, 0);
  EXPECT_NEAR(static_cast<double>(f.memory.states()), 16 * static_cast<double>(f.parameters) / 2,
              0.02 * 16 * static_cast<double>(f.parameters) / 2);
  // One all_reduce of half the gradients with the one copy: as much as the half, in fp32.
  EXPECT_NEAR(static_cast<double>(f.sent.across), 4 * static_cast<double>(f.parameters) / 2,
              0.02 * 4 * static_cast<double>(f.parameters) / 2);
  EXPECT_THROW(footprint(config, {.ranks = 4, .nodes = 3}, kSmallRow, 0), ConfigError);
}

TEST(Footprint, OffloadMovesStatesToTheHost) {
  auto config = small_run("zero3", "none", shape(), 2, 1);
  config.model.device = "cuda";
  config.model.dtype = Precision::kBf16;
  const auto before = footprint(config, {.ranks = 2}, kSmallRow, 0).memory;
  config.parallel.offload = Offload::kOptimizer;
  const auto optimizer = footprint(config, {.ranks = 2}, kSmallRow, 0).memory;
  config.parallel.offload = Offload::kParameters;
  const auto parameters = footprint(config, {.ranks = 2}, kSmallRow, 0).memory;
  EXPECT_EQ(before.host_states, 0);
  EXPECT_EQ(optimizer.peak(), before.peak() - before.optimizer);
  EXPECT_EQ(parameters.peak(), optimizer.peak() - before.parameters);
  EXPECT_EQ(parameters.host_states, optimizer.host_states + before.parameters);
}

// A machine on which a run is planned need not hold it.
TEST(Footprint, TakesNoMemory) {
  ModelShape large{.hidden_size = 8192, .intermediate_size = 22016, .num_hidden_layers = 80, .num_attention_heads = 64};
  large.vocab_size = 32000;
  auto config = small_run("zero3", "lora", large, 8, 8);
  config.peft.r = 64;
  const CountingAllocator counting;
  const auto f = footprint(config, {.ranks = 8}, 2048, 0);
  EXPECT_GT(f.memory.peak(), std::int64_t{30} << 30);
  EXPECT_LT(counting.peak(), std::int64_t{16} << 20);
}

// What those who published adapters of LLaMA did on one device of 80 GB: rank 8 on q and v (and rank 16 on all), 512 tokens, some rows at
// once.
TEST(Footprint, LoraOfLlamaUpTo30BFitsOneDeviceOf80GB) {
  struct Size {
    std::int64_t d, f, layers, heads, parameters;
  };
  for (const auto& s :
       {Size{4096, 11008, 32, 32, 6738415616}, Size{5120, 13824, 40, 40, 13015864320}, Size{6656, 17920, 60, 52, 32528943616}}) {
    ModelShape llama{.hidden_size = s.d, .intermediate_size = s.f, .num_hidden_layers = s.layers, .num_attention_heads = s.heads};
    llama.vocab_size = 32000;
    for (const std::int64_t r : {8, 16}) {
      auto config = small_run("ddp", "lora", llama, 1, 1);
      if (r == 8) config.peft.target_modules = {{"q_proj", "v_proj"}, false};
      config.model.dtype = Precision::kBf16;
      config.peft.r = r;
      config.train.micro_batch_size = 1;
      const auto f = footprint(config, {}, 512, 0);
      EXPECT_EQ(f.parameters - f.trained, s.parameters);
      EXPECT_LT(f.memory.peak(), std::int64_t{80'000'000'000}) << s.parameters << " r " << r;
      RecordProperty(fmt::format("{}B_r{}", s.parameters / 1'000'000'000, r), fmt::format("{}", f.memory.peak()));
    }
  }
}

// --- The command

class PlanCommand : public CommandTest {
 protected:
  PlanCommand() : CommandTest("plan") {
    write_ascii_tokenizer(scratch_.path());
    std::ofstream set(scratch_ / "set.jsonl");
    for (int i = 0; i < 10; ++i)
      set << R"({"instruction": "Say it.", "input": "", "output": "it )" << std::string(static_cast<std::size_t>(i), 'x') << "\"}\n";
    std::ofstream(scratch_ / "recipe.yaml") << "model: {family: llama, tokenizer: " << scratch_.path().string()
                                            << ", config: {hidden_size: 64, intermediate_size: 96, "
                                            << "num_hidden_layers: 4, num_attention_heads: 4, max_position_embeddings: 512}}\n"
                                            << "data: {sets: [" << (scratch_ / "set.jsonl").string() << "], max_tokens: 400}\n"
                                            << "train: {epochs: 3, global_batch_size: 4, micro_batch_size: 2}\n";
  }

  nlohmann::json plan(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {(scratch_ / "recipe.yaml").string(), "--json"});
    EXPECT_EQ(herd(arguments), kExitSuccess) << err_;
    return nlohmann::json::parse(out_);
  }
};

TEST_F(PlanCommand, CountsStepsTokensAndTheLongestRow) {
  const auto json = plan({"--ranks", "2"});
  EXPECT_EQ(json["steps"], 3 * 3);  // ten records by four
  const auto longest = json["longest_row"].get<std::int64_t>(), tokens = json["tokens"].get<std::int64_t>();
  EXPECT_EQ(tokens, 3 * (10 * longest - 45));  // rows of longest, longest − 1, … longest − 9 tokens
  EXPECT_EQ(plan({"--ranks", "2", "train.max_steps=5"})["steps"], 5);
  EXPECT_EQ(plan({"--ranks", "2", "data.packing=true"})["longest_row"], 400);
}

TEST_F(PlanCommand, SaysWhatItCannotKnow) {
  const auto json = plan({"--ranks", "1", "data.sets=[/nowhere/set.jsonl]"});
  EXPECT_TRUE(json["steps"].is_null() && json["tokens"].is_null());
  EXPECT_EQ(json["longest_row"], 400);
  EXPECT_THAT(json["unknown"].get<std::string>(), HasSubstr("/nowhere/set.jsonl"));
  EXPECT_THAT(plan({"--ranks", "1", "model.tokenizer=/nowhere", "model.config.vocab_size=97"})["unknown"].get<std::string>(),
              HasSubstr("tokenizer"));
  EXPECT_EQ(herd({(scratch_ / "recipe.yaml").string(), "--ranks", "1", "data.sets=[]"}), kExitSuccess);
  EXPECT_THAT(out_, HasSubstr("unknown: data.sets is empty"));
}

// A folder needs its config.json alone.
TEST_F(PlanCommand, NeedsNoWeights) {
  std::ofstream(scratch_ / "config.json")
      << R"({"model_type": "llama", "vocab_size": 97, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 4,
    "num_attention_heads": 4, "max_position_embeddings": 512})";
  const auto from_config = plan({"--ranks", "1"});
  EXPECT_EQ(plan({"--ranks", "1", "model.config=null", "model.path=" + scratch_.path().string()})["memory"], from_config["memory"]);
}

// Each change that the plan offers, made: it needs what was said.
TEST_F(PlanCommand, OffersChangesThatDo) {
  for (const double part : {0.95, 0.7, 0.45, 0.3}) {
    const auto before = plan({"--ranks", "2"});
    const auto limit = static_cast<std::int64_t>(part * before["memory"]["peak"].get<double>());
    const auto found = plan({"--ranks", "2", "--memory", std::to_string(limit)});
    EXPECT_FALSE(found["fits"]);
    auto offers = found["alone"];
    EXPECT_TRUE(offers.empty() || found["together"].empty());
    if (offers.empty()) {
      std::vector<std::string> words;
      for (const auto& step : found["together"]) words.push_back(step["change"]);
      ASSERT_LE(found["together"].back()["peak"].get<std::int64_t>(), limit) << found;
      offers.push_back({{"change", join(words, " ")}, {"peak", found["together"].back()["peak"]}});
    }
    for (const auto& offer : offers) {
      std::vector<std::string> arguments{"--ranks", "2", "--memory", std::to_string(limit)};
      std::istringstream words(offer["change"].get<std::string>());
      for (std::string word; words >> word;) {
        if (word == "--ranks") words >> arguments[1];
        else arguments.push_back(word);
      }
      const auto after = plan(arguments);
      EXPECT_EQ(after["memory"]["peak"], offer["peak"]) << offer;
      EXPECT_TRUE(after["fits"]) << offer;
    }
  }
}

TEST_F(PlanCommand, PrintsATableAndAVerdict) {
  const auto recipe = (scratch_ / "recipe.yaml").string();
  ASSERT_EQ(herd({recipe, "--ranks", "4", "--nodes", "2", "--memory", "80GiB", "parallel.strategy=zero3"}), kExitSuccess) << err_;
  EXPECT_THAT(out_, AllOf(HasSubstr("all trained; zero3 on 4 ranks of 2 nodes"), HasSubstr("optimizer state"), HasSubstr("gathered blocks"),
                          HasSubstr("to other nodes"), HasSubstr("fits 80 GiB"), HasSubstr("the run: 9 steps")));
  ASSERT_EQ(herd({recipe, "--ranks", "1", "--memory", "1kB"}), kExitSuccess) << err_;
  EXPECT_THAT(out_, AllOf(HasSubstr("does not fit 1000 B"), HasSubstr("nothing herd can change would do")));
}

TEST_F(PlanCommand, TellsWhatIsWrong) {
  const auto recipe = (scratch_ / "recipe.yaml").string();
  EXPECT_EQ(herd({recipe}), kExitUsage);
  EXPECT_THAT(err_, HasSubstr("--ranks"));
  EXPECT_EQ(herd({recipe, "--ranks", "0"}), kExitUsage);
  EXPECT_EQ(herd({recipe, "--ranks", "3", "--nodes", "2"}), kExitUsage);
  EXPECT_THAT(err_, AllOf(HasSubstr("--nodes"), HasSubstr("a divisor of the ranks")));
  EXPECT_EQ(herd({recipe, "--ranks", "1", "--memory", "much"}), kExitUsage);
  EXPECT_EQ(herd({recipe, "--ranks", "4", "parallel.strategy=hsdp", "parallel.shard_degree=3"}), kExitUsage);
  EXPECT_THAT(err_, HasSubstr("parallel.shard_degree"));
  EXPECT_EQ(herd({recipe, "--ranks", "1", "data.max_tokens=4000"}), kExitUsage);
  EXPECT_THAT(err_, HasSubstr("data.max_tokens"));
  EXPECT_EQ(herd({recipe, "--ranks", "1", "model.tokenizer=/nowhere"}), kExitUsage);
  EXPECT_THAT(err_, AllOf(HasSubstr("model.config.vocab_size"), HasSubstr("/nowhere")));
  EXPECT_EQ(herd({recipe, "--ranks", "1", "model.config=null"}), kExitUsage);
  EXPECT_THAT(err_, HasSubstr("model.path"));
}

}  // namespace
}  // namespace herd::test
