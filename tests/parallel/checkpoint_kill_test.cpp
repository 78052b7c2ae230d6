// SIGKILL at every named step of a save, on either of two ranks: what is left is a whole checkpoint, the last or the one before it.
#include <gtest/gtest.h>

#include <csignal>

#include "parallel/comm/threads.h"
#include "tests/parallel/forked_ranks.h"
#include "tests/parallel/toy_checkpoint.h"
#include "tests/support/scratch.h"

namespace herd::test {
namespace {

namespace fs = std::filesystem;

constexpr int kRanks = 2;
const std::vector<std::string> kOnEveryRank{"slices taken", "slice written", "rank file written", "rank file done"};
const std::vector<std::string> kOnRank0{"folder made", "manifest written", "verified", "published", "latest moved", "best moved", "pruned"};

struct Trial {
  std::string point;
  int reached_by = 0, killed = 0;
  std::int64_t save = 1;  // which one
  bool async = false;

  std::string title() const {
    return (async ? "async, rank " : "rank ") + std::to_string(killed) + " killed when rank " + std::to_string(reached_by) + " came to '" +
           point + "' of save " + std::to_string(save);
  }
};

// A run that does nothing but save, from where the last one left off.
void save_on_and_on(const fs::path& folder, Communicator& communicator, SharedMemory& memory, const Trial& trial, std::int64_t last) {
  std::atomic<std::int64_t> begun = 0, taken = 0;
  const auto on_step = [&](std::string_view step) {
    if (step == "folder made") memory.begun = ++begun;
    if (step == "slices taken") ++taken;
    const std::int64_t save = step == "folder made" ? begun : taken;
    if (step != trial.point || save != trial.save || communicator.rank() != trial.reached_by) return;
    kill(memory.pids[trial.killed], SIGKILL);
    if (trial.killed == trial.reached_by) pause();
  };
  CheckpointStore store(folder, communicator, {.keep = 1, .async = trial.async, .on_step = on_step});
  const auto from = store.find("auto");
  for (auto step = from ? from->manifest.step + 1 : 1; step <= last; ++step)
    store.save(step, content(communicator.rank(), kRanks, step, Layout::kRanges), step % 2 == 0);
  store.finish();
}

void expect_good(const fs::path& folder, std::int64_t step) {
  verify_checkpoint(folder / ("step-" + std::to_string(step)));
  EXPECT_EQ(load(folder, "auto", step).manifest.step, step);
}

void run(const Trial& trial) {
  SCOPED_TRACE(trial.title());
  Scratch scratch;
  auto& memory = new_shared_memory();
  const auto ends = run_forked(memory, kRanks, [&](Communicator& c) { save_on_and_on(scratch.path(), c, memory, trial, trial.save + 2); });
  const auto end = ends[static_cast<std::size_t>(trial.killed)];
  ASSERT_TRUE(WIFSIGNALED(end) && WTERMSIG(end) == SIGKILL);

  const auto latest = CheckpointFolder(scratch.path()).latest();
  const auto saved = latest.value_or(0);
  EXPECT_GE(saved, memory.begun - 1) << "lost more than the checkpoint that was being written";
  EXPECT_LE(saved, memory.begun);
  if (latest) expect_good(scratch.path(), saved);

  // The next run goes on from there and leaves nothing of the dead one.
  auto& fresh = new_shared_memory();
  const auto again = run_forked(
      fresh, kRanks, [&](Communicator& c) { save_on_and_on(scratch.path(), c, fresh, {.point = "", .async = trial.async}, saved + 1); });
  EXPECT_EQ(again, (std::vector<int>{0, 0}));
  expect_good(scratch.path(), saved + 1);
  for (const auto& name : names(scratch.path()))
    EXPECT_TRUE(name.find(".tmp") == std::string::npos && name.find(".gone") == std::string::npos) << name;
}

void run_all(bool async) {
  for (const int killed : {0, 1}) {
    for (const auto& point : kOnRank0) run({point, 0, killed, 3, async});
    for (const int reached_by : {0, 1})
      for (const auto& point : kOnEveryRank) run({point, reached_by, killed, 3, async});
  }
  // The first of all: where it was not committed, there is none, and the run begins anew.
  for (const auto* point : {"slice written", "rank file done", "published", "latest moved"}) run({point, 0, 0, 1, async});
}

TEST(CheckpointKill, AtEveryStepOnEitherRank) { run_all(false); }
TEST(CheckpointKill, AtEveryStepOnEitherRankInTheBackground) { run_all(true); }

}  // namespace
}  // namespace herd::test
