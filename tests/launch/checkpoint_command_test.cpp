// `herd checkpoint` as one calls it, over checkpoints written here.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "parallel/checkpoint/store.h"
#include "runtime/base/exit_codes.h"
#include "runtime/base/file.h"
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
