// What is saved comes back, on any ranks; and what does not fit is refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "parallel/checkpoint/plan.h"
#include "parallel/comm/threads.h"
#include "tests/parallel/toy_checkpoint.h"
#include "tests/support/errors.h"
#include "tests/support/scratch.h"

namespace herd::test {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

TEST(Checkpoint, SavedByAnyNumberOfRanksLoadsOnAnyOther) {
  for (const auto saved_as : {Layout::kReplicas, Layout::kRanges})
    for (int n = 1; n <= 4; ++n) {
      Scratch scratch;
      run_threads(n, [&](Communicator& c) { CheckpointStore(scratch.path(), c).save(5, content(c.rank(), n, 3, saved_as)); });
      for (const auto loaded_as : {Layout::kReplicas, Layout::kRanges})
        for (int m = 1; m <= 4; ++m)
          run_threads(m, [&](Communicator& c) {
            CheckpointStore store(scratch.path(), c);
            const auto checkpoint = store.find("auto");
            ASSERT_TRUE(checkpoint);
            EXPECT_EQ(checkpoint->manifest.ranks, n);
            EXPECT_EQ(checkpoint->manifest.step, 5);
            EXPECT_EQ(checkpoint->manifest.state, content().state);
            EXPECT_EQ(checkpoint->manifest.config, content().config);
            EXPECT_EQ(checkpoint->manifest.held_out_loss, 1.25);
            const auto into = layout(toy_tensors(), loaded_as, c.rank(), m, false, 0);
            store.read(*checkpoint, into);
            expect_filled(into, layout(toy_tensors(), loaded_as, c.rank(), m, true, 3), std::to_string(n) + " to " + std::to_string(m));
          });
    }
}

TEST(Checkpoint, ReplicasAreWrittenOnceAndEvenlyDivided) {
  Scratch scratch;
  run_threads(4, [&](Communicator& c) { CheckpointStore(scratch.path(), c).save(1, content(c.rank(), 4)); });
  const auto manifest = read_manifest(scratch / "step-1");
  std::vector<std::int64_t> elements(4, 0);
  for (const auto& tensor : manifest.tensors) {
    ASSERT_EQ(tensor.slices.size(), 1u) << tensor.title();
    elements[tensor.slices[0].file] += tensor.elements();
  }
  EXPECT_LE(*std::max_element(elements.begin(), elements.end()) - *std::min_element(elements.begin(), elements.end()),
            66);  // the largest tensor
  EXPECT_THAT(names(scratch / "step-1"), ElementsAre("manifest.json", "rank-0000.h5", "rank-0001.h5", "rank-0002.h5", "rank-0003.h5"));
}

TEST(Checkpoint, AnAsynchronousSaveHoldsWhatThereWasWhenItBegan) {
  for (const auto how : {Layout::kReplicas, Layout::kRanges})
    for (int n = 1; n <= 3; ++n) {
      Scratch scratch;
      run_threads(n, [&](Communicator& c) {
        CheckpointStore store(scratch.path(), c, {.keep = 9, .async = true});
        const auto values = content(c.rank(), n, 0, how);
        for (const int step : {5, 10, 15}) {
          const auto now = layout(toy_tensors(), how, c.rank(), n, true, step);
          for (std::size_t i = 0; i < now.size(); ++i) values.slices[i].value.copy_(now[i].value);
          store.save(step, values);
          for (const auto& slice : values.slices) slice.value.fill_(77);  // the training goes on
        }
        store.finish();
      });
      for (const int step : {5, 10, 15}) load(scratch.path(), scratch / ("step-" + std::to_string(step)), step);
    }
}

TEST(Checkpoint, TheNextSaveWaitsForTheOneUnderWay) {
  Scratch scratch;
  std::atomic<bool> go_on = false;
  Alone alone(scratch.path(), {.async = true, .on_step = [&](std::string_view step) {
                                 while (step == "verified" && !go_on) std::this_thread::yield();
                               }});
  alone.store.save(5, content(0, 1, 5));
  EXPECT_FALSE(CheckpointFolder(scratch.path()).latest()) << "save has not waited";
  std::thread later([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    go_on = true;
  });
  alone.store.save(10, content(0, 1, 10));
  EXPECT_TRUE(fs::exists(scratch / "step-5"));
  alone.store.finish();
  later.join();
  load(scratch.path(), "auto", 10);
}

TEST(Checkpoint, LongTensorsAreCutAnywhere) {
  Scratch scratch;
  const std::vector<Logical> tensors{{"value", "long", {5 << 20}, at::kFloat}};  // more than one of the pieces in which a file is read
  run_threads(1, [&](Communicator& c) {
    CheckpointStore(scratch.path(), c).save(1, {.slices = layout(tensors, Layout::kReplicas, 0, 1, true, 0)});
  });
  run_threads(3, [&](Communicator& c) {
    CheckpointStore store(scratch.path(), c);
    const auto into = layout(tensors, Layout::kRanges, c.rank(), 3, false, 0);
    store.read(*store.find("auto"), into);
    expect_filled(into, layout(tensors, Layout::kRanges, c.rank(), 3, true, 0), "long");
  });
}

TEST(Checkpoint, LongStretchesAreWrittenInSlicesByAllWhoHoldThem) {
  const Piece all{"value", "w", {4, 5}, "F32", 4, 0, 20}, end{"value", "v", {3}, "F32", 4, 0, 3};
  std::vector<std::vector<std::int64_t>> found;
  for (const auto& a : plan_save({{all, end}, {all, end}}, 35).assignments) found.push_back({static_cast<std::int64_t>(a.tensor), a.begin, a.end, a.writer});
  EXPECT_EQ(found, (std::vector<std::vector<std::int64_t>>{{0, 0, 8, 0}, {0, 8, 16, 1}, {0, 16, 20, 0}, {1, 0, 3, 1}}));
}

TEST(Checkpoint, SlicesThatOverlapOrLeaveHolesAreRefused) {
  const auto piece = [](std::int64_t begin, std::int64_t end) { return Piece{"value", "w", {4, 5}, "F32", 4, begin, end}; };
  EXPECT_EQ(plan_save({{piece(0, 12)}, {piece(12, 20)}}).assignments.size(), 2u);
  EXPECT_THAT(message_of<Error>([&] { plan_save({{piece(0, 12)}, {piece(13, 20)}}); }),
              AllOf(HasSubstr("value of w"), HasSubstr("element 12")));
  EXPECT_THAT(message_of<Error>([&] { plan_save({{piece(0, 12)}, {piece(11, 20)}}); }), HasSubstr("value of w"));
  EXPECT_THAT(message_of<Error>([&] { plan_save({{piece(0, 12)}, {piece(12, 19)}}); }), HasSubstr("up to element 19 of 20"));
  EXPECT_THAT(message_of<Error>([&] { plan_save({{piece(0, 20)}, {{"value", "w", {5, 4}, "F32", 4, 0, 20}}}); }), HasSubstr("rank 1"));
  Scratch scratch;
  run_threads(2, [&](Communicator& c) {
    CheckpointStore store(scratch.path(), c);
    auto mine = content(c.rank(), 2, 0, Layout::kRanges);
    if (c.rank() == 1) mine.slices.pop_back();
    EXPECT_THAT(message_of<Error>([&] { store.save(1, mine); }), HasSubstr("count of rows"));
  });
  EXPECT_THAT(names(scratch.path()), ElementsAre("incarnation"));
}

TEST(Checkpoint, AnotherModelTokenizerTemplateOrAdapterIsRefusedByName) {
  Scratch scratch;
  Alone alone(scratch.path());
  EXPECT_FALSE(alone.store.find("auto"));
  alone.store.save(5, content());
  const auto checkpoint = alone.store.find("auto").value();
  for (const auto& [name, stored] : content().fingerprints) {
    auto run = content().fingerprints;
    run[name] = "other";
    EXPECT_THAT(message_of<Error>([&] { alone.store.check(checkpoint, run); }),
                AllOf(HasSubstr("step-5 is of another " + name + ":"), HasSubstr(name + " " + stored + "; expected " + name + " other")));
    EXPECT_THROW(alone.store.check(checkpoint, run), ConfigError);
    run[name] = "";
    EXPECT_NO_THROW(alone.store.check(checkpoint, run)) << "what the run does not know is not compared";
  }
  auto run = content().fingerprints;
  run["tokenizer"] = "x", run["shoe size"] = "46";
  EXPECT_THAT(message_of<Error>([&] { alone.store.check(checkpoint, run); }),
              HasSubstr("another shoe size and another tokenizer: shoe size unknown, tokenizer t1;"));
}

TEST(Checkpoint, TensorsThatDoNotFitAreNamed) {
  Scratch scratch;
  Alone(scratch.path()).store.save(5, content());
  const auto complaint = [&](const std::function<void(std::vector<NamedSlice>&)>& change) {
    Alone alone(scratch.path());
    auto into = layout(toy_tensors(), Layout::kReplicas, 0, 1, false, 0);
    change(into);
    return message_of<Error>([&] { alone.store.read(*alone.store.find("auto"), into); });
  };
  EXPECT_THAT(complaint([](auto& into) { into[1].name = "q"; }), AllOf(HasSubstr("missing"), HasSubstr("value of q")));
  EXPECT_THAT(complaint([](auto& into) { into.pop_back(); }), HasSubstr("1 tensors that this run does not train: count of rows"));
  EXPECT_THAT(complaint([](auto& into) {
                into[0].shape = {6, 11};
              }),
              AllOf(HasSubstr("value of model.embed.weight"), HasSubstr("[11, 6]"), HasSubstr("[6, 11]")));
  EXPECT_THAT(complaint([](auto& into) { into[0].value = into[0].value.to(at::kDouble); }), AllOf(HasSubstr("F32"), HasSubstr("F64")));
}

TEST(Checkpoint, KeepsTheLastOnesAndTheBest) {
  Scratch scratch;
  Alone alone(scratch.path(), {.keep = 2});
  for (const int step : {5, 10, 15, 20, 100}) alone.store.save(step, content(0, 1, step), step == 10);
  EXPECT_THAT(names(scratch.path()), ElementsAre("best", "incarnation", "latest", "step-10", "step-100", "step-20"));
  EXPECT_EQ(CheckpointFolder(scratch.path()).latest(), 100);
  EXPECT_EQ(CheckpointFolder(scratch.path()).best(), 10);
  load(scratch.path(), (scratch / "step-10").string(), 10);
  // A return to step 20: what comes from there is newer than the abandoned step 100.
  Alone again(scratch.path(), {.keep = 2});
  again.store.save(25, content(0, 1, 25), true);
  EXPECT_EQ(load(scratch.path(), "auto", 25).folder, scratch / "step-25");
  Alone last(scratch.path(), {.keep = 2});
  last.store.save(30, content(0, 1, 30));
  EXPECT_THAT(names(scratch.path()), ElementsAre("best", "incarnation", "latest", "step-25", "step-30"));
  // The same step once more takes the place of the old one.
  last.store.save(30, content(0, 1, 31));
  EXPECT_THAT(names(scratch.path()), ElementsAre("best", "incarnation", "latest", "step-25", "step-30"));
  load(scratch.path(), "auto", 31);
}

}  // namespace
}  // namespace herd::test
