// `herd checkpoint` as one calls it, over checkpoints written here.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <malloc.h>

#include <fstream>

#include "data/tokenizer/tokenizer.h"
#include "models/hub.h"
#include "parallel/checkpoint/store.h"
#include "parallel/comm/threads.h"
#include "runtime/base/exit_codes.h"
#include "runtime/base/file.h"
#include "runtime/base/process.h"
#include "tests/launch/ascii_tokenizer.h"
#include "tests/support/run_herd.h"

namespace herd {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class CheckpointCommand : public test::CommandTest {
 protected:
  CheckpointCommand() : CommandTest("checkpoint") {
    const auto communicator = make_self_communicator();
    CheckpointStore store(scratch_ / "checkpoints", *communicator);
    for (const int step : {5, 10}) {
      store.save(step,
                 {.slices = {{"value", "model.norm.weight", {3, 4}, 0, 12, at::full({12}, 0.5 * step)},
                             {"exp_avg", "model.norm.weight", {3, 4}, 0, 12, at::ones({12})}},
                  .state = R"({"tokens": 1234})",
                  .fingerprints = {{"tokenizer", "t1"}, {"template", ""}},
                  .config = "train:\n  epochs: 3\n",
                  .held_out_loss = step == 5 ? std::optional(0.75) : std::nullopt},
                 step == 5);
    }
  }

  std::string run() const { return scratch_.path().string(); }
  fs::path checkpoint(int step) const { return scratch_ / "checkpoints" / ("step-" + std::to_string(step)); }
  void damage(int step) const {
    const auto path = checkpoint(step) / "rank-0000.h5";
    auto bytes = read_file(path);
    bytes[read_manifest(checkpoint(step)).tensors[1].slices[0].offset] ^= 1;
    write_file_atomically(path, bytes);
  }
};

TEST_F(CheckpointCommand, ListsWhatThereIs) {
  ASSERT_EQ(herd({"list", run()}), kExitSuccess) << err_;
  EXPECT_THAT(out_, testing::ContainsRegex("step-5 .*Z +1 .* 0.7500  best\n"));
  EXPECT_THAT(out_, testing::ContainsRegex("step-10 .*Z +1 .* -  latest\n"));
  fs::remove(checkpoint(5) / "rank-0000.h5");
  ASSERT_EQ(herd({"list", (scratch_ / "checkpoints").string()}), kExitSuccess);
  EXPECT_THAT(out_, testing::ContainsRegex("step-5 +broken: .*rank-0000.h5: .*no such file"));
  EXPECT_THAT(out_, HasSubstr("latest"));
}

TEST_F(CheckpointCommand, VerifiesEveryByte) {
  EXPECT_EQ(herd({"verify", run()}), kExitSuccess) << err_;
  EXPECT_THAT(out_, AllOf(HasSubstr("step-5: good, 2 tensors in 1 files"), HasSubstr("step-10: good")));
  damage(5);
  EXPECT_EQ(herd({"verify", run()}), kExitFailure);
  EXPECT_THAT(out_, HasSubstr("step-10: good"));
  EXPECT_THAT(err_, AllOf(HasSubstr("error: "), HasSubstr("step-5/rank-0000.h5: exp_avg of model.norm.weight"), Not(HasSubstr("step-10"))));
  EXPECT_EQ(herd({"verify", checkpoint(5).string()}), kExitFailure);
  EXPECT_EQ(herd({"verify", checkpoint(10).string()}), kExitSuccess);
}

TEST_F(CheckpointCommand, ShowsTheLatestOrTheOneNamed) {
  ASSERT_EQ(herd({"show", run()}), kExitSuccess) << err_;
  EXPECT_THAT(out_, AllOf(HasSubstr("step-10\n"), HasSubstr("on 1 rank (incarnation 1)"), HasSubstr("tokenizer    t1"),
                          HasSubstr("template     -"), HasSubstr("\"tokens\":1234"),
                          HasSubstr("exp_avg     F32   [3, 4]           model.norm.weight\n"), HasSubstr("config\ntrain:\n  epochs: 3\n")));
  ASSERT_EQ(herd({"show", checkpoint(5).string()}), kExitSuccess);
  EXPECT_THAT(out_, AllOf(HasSubstr("step 5, saved"), HasSubstr("held-out loss 0.7500")));
}

/// Element i of a parameter: different everywhere, and nothing that bf16 holds exactly.
Tensor closed_form(const std::string& name, std::int64_t elements) {
  return at::arange(elements, at::kFloat).mul_(1.0 / 3).add_(static_cast<double>(name.size())).remainder_(7);
}

/// A run's only checkpoint, as three ranks leave it, of a model in bf16 whose largest tensors have `rows` rows.
class Consolidate : public test::CommandTest {
 protected:
  Consolidate() : CommandTest("checkpoint") {}

  void save(std::int64_t rows) {
    fs::create_directory(scratch_ / "tokenizer");
    test::write_ascii_tokenizer(scratch_ / "tokenizer");
    const auto yaml = "model:\n  family: llama\n  tokenizer: " + (scratch_ / "tokenizer").string() + "\n  dtype: bf16\n  config: {vocab_size: " +
                      std::to_string(rows) + ", hidden_size: 256, intermediate_size: 64, num_hidden_layers: 1, num_attention_heads: 2}\n";
    ModelOptions options{.family = "llama", .dtype = Precision::kBf16};
    options.config = ModelShape{.hidden_size = 256, .intermediate_size = 64, .num_hidden_layers = 1, .num_attention_heads = 2};
    options.config->vocab_size = rows;
    described_ = describe_model(options, 97);
    run_threads(3, [&](Communicator& c) {
      std::vector<NamedSlice> slices;
      for_each_parameter(*described_.model, [&](const std::string& name, Parameter& p) {
        const auto counts = even_counts(p.value.numel(), 3);
        const auto begin = c.rank() * counts[0];
        const auto end = c.rank() == 2 ? p.value.numel() : begin + counts[0];
        slices.push_back({"value", name, p.value.sizes().vec(), begin, end, closed_form(name, p.value.numel()).narrow(0, begin, end - begin).clone()});
      });
      const auto tokenizer = load_tokenizer(scratch_ / "tokenizer");
      CheckpointStore(scratch_ / "checkpoints", c)
          .save(7, {.slices = slices,
                    .fingerprints = {{"base model", described_.fingerprint}, {"tokenizer", tokenizer->fingerprint}, {"template", "alpaca t1"}},
                    .config = yaml});
    });
  }
  std::string out() const { return (scratch_ / "out").string(); }
  std::string run() const { return scratch_.path().string(); }
  LoadedModel described_;
};

TEST_F(Consolidate, NeverHoldsTheModelInMemory) {
  constexpr std::int64_t kAllowed = std::int64_t{48} << 20;  // pieces of 4 MiB in two dtypes, code that runs for the first time, and what the allocator keeps
  save(100'000);
  std::int64_t bytes = 0, largest = 0;
  for_each_parameter(*described_.model, [&](const std::string&, Parameter& p) {
    bytes += static_cast<std::int64_t>(p.value.nbytes());
    largest = std::max(largest, static_cast<std::int64_t>(p.value.nbytes()));
  });
  ASSERT_GT(bytes, 2 * kAllowed);
  ASSERT_GT(largest, kAllowed);
  malloc_trim(0);
  std::ofstream("/proc/self/clear_refs") << 5;  // the peak begins again at what is held now
  const auto before = process_memory();
  ASSERT_LT(before.peak, before.resident + (std::uint64_t{8} << 20)) << "the peak cannot be reset here";
  ASSERT_EQ(herd({"consolidate", run(), out()}), kExitSuccess) << err_;
  EXPECT_THAT(out_, HasSubstr("the model of step 7"));
  const auto grown = static_cast<std::int64_t>(process_memory().peak - before.resident);
  RecordProperty("grown_mib", static_cast<int>(grown >> 20));
  EXPECT_LE(grown, kAllowed) << "for a model of " << bytes;

  const auto loaded = load_hub_folder(out(), at::kBFloat16);
  for_each_parameter(*loaded.model, [&](const std::string& name, Parameter& p) {
    EXPECT_TRUE(at::equal(p.value.detach().view({-1}), closed_form(name, p.value.numel()).to(at::kBFloat16))) << name;
  });
  EXPECT_EQ(load_tokenizer(out())->vocab_size(), 97);
  EXPECT_EQ(read_provenance(out())->template_name, "alpaca");
  EXPECT_EQ(read_provenance(out())->template_fingerprint, "t1");
}

TEST_F(Consolidate, WritesNothingOfADamagedOrForeignCheckpoint) {
  save(100);
  const auto checkpoint = scratch_ / "checkpoints" / "step-7";
  const auto file = checkpoint / "rank-0001.h5";
  const auto whole = read_file(file);
  auto bytes = whole;
  const auto manifest = read_manifest(checkpoint);
  bytes[manifest.tensors[2].slices[1].offset] ^= 1;
  write_file_atomically(file, bytes);
  EXPECT_EQ(herd({"consolidate", run(), out()}), kExitFailure);
  EXPECT_THAT(err_, AllOf(HasSubstr("rank-0001.h5: " + manifest.tensors[2].title()), HasSubstr("checksum")));
  EXPECT_FALSE(fs::exists(out()));
  write_file_atomically(file, whole);

  fs::create_directory(scratch_ / "other");
  fs::copy(scratch_ / "tokenizer", scratch_ / "other", fs::copy_options::recursive);
  auto text = read_file(scratch_ / "other" / "tokenizer.json");
  text.replace(text.find("\"~\":"), 4, "\"é\":");
  write_file_atomically(scratch_ / "other" / "tokenizer.json", text);
  EXPECT_EQ(herd({"consolidate", checkpoint.string(), out(), "--base", (scratch_ / "other").string()}), kExitUsage);
  EXPECT_THAT(err_, HasSubstr("of another tokenizer"));
  EXPECT_FALSE(fs::exists(out()));

  fs::create_directory(out());
  write_file_atomically(scratch_ / "out" / "mine", "");
  EXPECT_EQ(herd({"consolidate", run(), out()}), kExitFailure);
  EXPECT_THAT(err_, HasSubstr("/out"));
  fs::remove(scratch_ / "out" / "mine");
  EXPECT_EQ(herd({"consolidate", run(), out()}), kExitSuccess) << err_;
}

TEST_F(CheckpointCommand, WrongPathsAndWordsAreErrors) {
  EXPECT_EQ(herd({"list", (scratch_ / "nowhere").string()}), kExitFailure);
  EXPECT_THAT(err_, HasSubstr("no such folder"));
  fs::create_directory(scratch_ / "empty");
  EXPECT_EQ(herd({"verify", (scratch_ / "empty").string()}), kExitFailure);
  EXPECT_THAT(err_, HasSubstr("no checkpoint"));
  EXPECT_EQ(herd({"mend", run()}), kExitUsage);
  EXPECT_EQ(herd({}), kExitUsage);
}

}  // namespace
}  // namespace herd
