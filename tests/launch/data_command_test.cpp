// `herd data audit` as one calls it, over a set written here.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "runtime/base/exit_codes.h"
#include "tests/launch/ascii_tokenizer.h"
#include "tests/support/run_herd.h"

namespace herd {
namespace {
using testing::AllOf;
using testing::HasSubstr;

class DataCommand : public test::CommandTest {
 protected:
  DataCommand() : CommandTest("data") {
    test::write_ascii_tokenizer(scratch_.path());
    std::ofstream(scratch_ / "set.jsonl") << R"({"instruction": "Add.", "input": "1 2", "output": "3"})" << "\n"
                                          << R"({"instruction": "Say it.", "input": "", "output": "it"})" << "\n";
    std::ofstream(scratch_ / "recipe.yaml") << "model: {tokenizer: " << scratch_.path().string() << "}\n"
                                            << "data: {sets: [" << (scratch_ / "set.jsonl").string() << "], seed: 1}\n";
  }

  std::string recipe() const { return (scratch_ / "recipe.yaml").string(); }
};

TEST_F(DataCommand, AuditShowsWhatIsLearnt) {
  ASSERT_EQ(herd({"audit", recipe()}), kExitSuccess) << err_;
  EXPECT_THAT(out_, AllOf(HasSubstr("### Input:\n1 2\n\n### Response:⟦ 3</s>⟧\n"), HasSubstr("### Instruction:\nSay it.\n\n### Response:⟦ it</s>⟧\n"),
                          HasSubstr("set.jsonl:2 (record 2)"), HasSubstr("2 records: 2 examples"), HasSubstr("7 supervised")));
}

TEST_F(DataCommand, OverridesAndSamplesCount) {
  ASSERT_EQ(herd({"audit", recipe(), "data.train_on=all", "data.packing=true", "--samples", "1"}), kExitSuccess) << err_;
  EXPECT_EQ(out_.find("── ", out_.find("── ") + 1), std::string::npos);
  EXPECT_THAT(out_, AllOf(HasSubstr("B⟦elow is"), HasSubstr("packed: 1 rows of 512 tokens"), HasSubstr("(data.packing is on)")));
}

TEST_F(DataCommand, TellsWhatIsWrong) {
  EXPECT_EQ(herd({}), kExitUsage);
  EXPECT_EQ(herd({"adit", recipe()}), kExitUsage);
  EXPECT_THAT(err_, HasSubstr("herd data --help"));
  EXPECT_EQ(herd({"audit", recipe(), "data.max_tokens=100"}), kExitFailure);
  EXPECT_THAT(err_, AllOf(HasSubstr("set.jsonl:1 (record 1)"), HasSubstr("no token to learn"), HasSubstr("data.unsupervised")));
  EXPECT_EQ(herd({"audit", recipe(), "model.tokenizer="}), kExitUsage);
  EXPECT_THAT(err_, HasSubstr("model.tokenizer"));
  EXPECT_EQ(herd({"audit", recipe(), "data.sets=[]"}), kExitUsage);
  EXPECT_THAT(err_, HasSubstr("data.sets"));
}

}  // namespace
}  // namespace herd
