// When a run is started again, and when not: by tables of how its tries end.
#include <gtest/gtest.h>

#include <sstream>

#include "launch/launcher/restart_policy.h"
#include "runtime/base/exit_codes.h"

namespace herd::test {
namespace {

TryEnd ended(int code, std::int64_t saved, std::int64_t reached, std::vector<std::string> lost = {}, bool stopped = false) {
  return {.code = code, .stopped = stopped, .lost = std::move(lost), .progress = {.saved = saved, .reached = reached}};
}

// What each try in turn leads to: `again` or the exit code.
std::string course(int restarts, const std::vector<TryEnd>& tries) {
  RestartPolicy policy(restarts);
  std::ostringstream out;
  for (const auto& end : tries) {
    const auto verdict = policy.after(end);
    out << (out.tellp() > 0 ? " " : "") << (verdict.again ? "again" : std::to_string(verdict.code));
    EXPECT_FALSE(verdict.why.empty());
  }
  return out.str();
}

TEST(Restarts, EndWithTheRun) {
  EXPECT_EQ(course(3, {ended(kExitSuccess, 8, 8)}), "0");
  EXPECT_EQ(course(3, {ended(1, 4, 5), ended(kExitSuccess, 8, 8)}), "again 0");
}

TEST(Restarts, AreNotForWrongRecipesAndPeopleWhoStop) {
  EXPECT_EQ(course(3, {ended(kExitUsage, 0, 0)}), "2");
  EXPECT_EQ(course(3, {ended(kExitInterrupted, 4, 4)}), "130");
  EXPECT_EQ(course(3, {ended(kExitPreempted, 4, 4, {}, true)}), "75");
  EXPECT_EQ(course(3, {ended(kExitTerminated, 4, 4, {}, true)}), "76");
  EXPECT_EQ(course(3, {ended(1, 4, 5, {"b"}, true)}), "1");  // a failure while it was to stop
}

TEST(Restarts, SpendABudgetOfFailures) {
  EXPECT_EQ(course(2, {ended(1, 4, 5), ended(137, 8, 9), ended(1, 12, 13)}), "again again 70");
  EXPECT_EQ(course(0, {ended(1, 4, 5)}), "1");
  EXPECT_EQ(course(0, {ended(kExitPreempted, 4, 5)}), "75");
  EXPECT_EQ(course(0, {ended(1, 4, 5, {"b"})}), "1");
}

TEST(Restarts, AreFreeAfterPreEmptionsAndLostHosts) {
  EXPECT_EQ(course(1, {ended(kExitPreempted, 4, 4), ended(1, 8, 9, {"b"}), ended(kExitTerminated, 9, 9), ended(1, 10, 11), ended(1, 12, 13)}), "again again again again 70");
  RestartPolicy policy(3);
  EXPECT_FALSE(policy.after(ended(kExitPreempted, 4, 4)).spends);
  EXPECT_FALSE(policy.after(ended(1, 4, 6, {"b"})).spends);
  EXPECT_TRUE(policy.after(ended(1, 4, 6)).spends);
}

TEST(Restarts, DoNotRepeatAFailureAtTheSameStep) {
  EXPECT_EQ(course(9, {ended(1, 4, 6), ended(1, 4, 6)}), "again 70");
  EXPECT_EQ(course(9, {ended(1, 4, 6), ended(1, 4, 7), ended(1, 4, 7)}), "again again 70");
  EXPECT_EQ(course(9, {ended(1, 4, 6), ended(1, 6, 6), ended(1, 6, 6)}), "again again 70");  // there was a newer checkpoint
  EXPECT_EQ(course(9, {ended(1, 0, 0), ended(1, 0, 0)}), "again 70");
  EXPECT_EQ(course(9, {ended(1, 4, 6), ended(kExitPreempted, 4, 6), ended(1, 4, 6)}), "again again 70");  // a pre-emption between changes nothing
}

TEST(Restarts, ThatCostNothingComeToAnEndWithoutProgress) {
  RestartPolicy policy(3);
  for (int i = 0; i < RestartPolicy::kFreeWithoutProgress; ++i) EXPECT_TRUE(policy.after(ended(kExitPreempted, 4, 4)).again) << i;
  EXPECT_EQ(policy.after(ended(kExitPreempted, 4, 4)).code, kExitGivenUp);
  RestartPolicy other(3);
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(other.after(ended(kExitPreempted, 4 + i, 4 + i)).again) << i;
}

}  // namespace
}  // namespace herd::test
