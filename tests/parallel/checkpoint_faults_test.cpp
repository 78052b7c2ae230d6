// Checkpoints in bad luck: damaged bytes, overtaken and dying processes, full disks.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <thread>

#include "parallel/comm/threads.h"
#include "runtime/base/file.h"
#include "tests/parallel/toy_checkpoint.h"
#include "tests/support/disk.h"
#include "tests/support/errors.h"
#include "tests/support/scratch.h"

namespace herd::test {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

/// As `load`, but looks on only: nothing is taken over, nothing synced.
void peek(const fs::path& checkpoint) {
  const auto into = layout(toy_tensors(), Layout::kReplicas, 0, 1, false, 0);
  read_slices(checkpoint, read_manifest(checkpoint), into);
  expect_filled(into, content().slices, "peek");
}

void flip(const fs::path& path, std::uintmax_t at, int bits = 0x10) {
  auto* file = std::fopen(path.c_str(), "r+b");
  ASSERT_TRUE(file);
  std::fseek(file, static_cast<long>(at), SEEK_SET);
  const int byte = std::fgetc(file);
  std::fseek(file, static_cast<long>(at), SEEK_SET);
  std::fputc(byte ^ bits, file);
  std::fclose(file);
}

TEST(CheckpointFaults, AFlippedByteAnywhereInARankFileIsNamed) {
  Scratch scratch;
  Alone(scratch.path()).store.save(5, content());
  const auto file = scratch / "step-5" / "rank-0000.h5";
  std::int64_t data_bytes = 0, named = 0, harmless = 0;
  for (const auto& s : content().slices) data_bytes += static_cast<std::int64_t>(s.value.nbytes());
  const auto manifest = read_manifest(scratch / "step-5");
  for (std::uintmax_t at = 0; at < manifest.files[0].bytes; at += 2) {
    flip(file, at);
    const auto error =
        message_of<Error>([&] { verify_files(scratch / "step-5", manifest); });  // all that is not a value, HDF5's own structures, as well
    EXPECT_THAT(error, HasSubstr("rank-0000.h5")) << at;
    named += error.find(", elements [") != std::string::npos;
    // Reading meets what it needs alone: then it is either told or right (`peek` looks).
    if (at % 20 == 0) {
      const auto loading = outcome_of<Error>([&] { peek(scratch / "step-5"); });
      harmless += loading == kNoError;
      EXPECT_THAT(loading, testing::AnyOf(kNoError, HasSubstr("rank-0000.h5")));
    }
    flip(file, at);
  }
  EXPECT_EQ(named, data_bytes / 2) << "datasets begin at even bytes";
  EXPECT_GT(harmless, 0);
  verify_checkpoint(scratch / "step-5");
}

TEST(CheckpointFaults, AFlippedByteAnywhereInTheManifestIsTold) {
  Scratch scratch;
  Alone(scratch.path()).store.save(5, content());
  const auto file = scratch / "step-5" / "manifest.json";
  for (std::uintmax_t at = 0; at < fs::file_size(file); at += 11) {
    for (const int bits : {0x01, 0x10, 0x80}) {
      flip(file, at, bits);
      // A byte between the words, or another way to write a word, changes nothing.
      EXPECT_THAT(outcome_of<Error>([&] { peek(scratch / "step-5"); }), testing::AnyOf(kNoError, HasSubstr("manifest.json"))) << at;
      flip(file, at, bits);
    }
  }
}

TEST(CheckpointFaults, CutOffMissingAndForeignFilesAreNamed) {
  Scratch scratch;
  const auto folder = scratch / "step-5", file = folder / "rank-0001.h5", manifest = folder / "manifest.json";
  run_threads(2, [&](Communicator& c) { CheckpointStore(scratch.path(), c).save(5, content(c.rank(), 2)); });
  const auto whole = read_file(file), text = read_file(manifest);
  const auto complaint = [&] { return message_of<Error>([&] { load(scratch.path()); }); };
  for (const std::size_t size : {std::size_t{0}, std::size_t{100}, whole.size() / 2, whole.size() - 1}) {
    write_file_atomically(file, std::string_view(whole).substr(0, size));
    EXPECT_THAT(complaint(), AllOf(HasSubstr("rank-0001.h5"), HasSubstr("expected")));
  }
  fs::remove(file);
  EXPECT_THAT(complaint(), AllOf(HasSubstr("rank-0001.h5"), HasSubstr("no such file")));
  write_file_atomically(file, whole);
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, text.size() / 2, text.size() - 3}) {
    write_file_atomically(manifest, std::string_view(text).substr(0, size));
    EXPECT_THAT(complaint(), AllOf(HasSubstr("manifest.json"), HasSubstr("broken manifest")));
  }
  auto newer = text;
  newer.replace(newer.find("\"version\": 1"), 12, "\"version\": 2");
  write_file_atomically(manifest, newer);
  EXPECT_THAT(complaint(), AllOf(HasSubstr("checkpoint format 2, written by herd"), HasSubstr("newer")));
  write_file_atomically(manifest, R"({"format": "of someone else", "version": 1})");
  EXPECT_THAT(complaint(), HasSubstr("of someone else"));
  fs::remove(manifest);
  EXPECT_THAT(complaint(), AllOf(HasSubstr("manifest.json"), HasSubstr("no such file")));
  fs::remove_all(folder);
  EXPECT_THAT(complaint(), HasSubstr("step-5"));
  EXPECT_THAT(message_of<Error>([&] { load(scratch.path(), scratch / "nowhere"); }), HasSubstr("no such folder"));
}

TEST(CheckpointFaults, ABrokenLatestIsNeverPassedOverInSilence) {
  Scratch scratch;
  Alone alone(scratch.path());
  for (const int step : {5, 10, 15}) alone.store.save(step, content(0, 1, step));
  flip(scratch / "step-15" / "rank-0000.h5", read_manifest(scratch / "step-15").tensors[2].slices[0].offset + 1);
  flip(scratch / "step-10" / "manifest.json", 400);
  run_threads(2, [&](Communicator& c) {
    CheckpointStore store(scratch.path(), c);
    const auto into = layout(toy_tensors(), Layout::kReplicas, 0, 1, false, 0);
    EXPECT_THAT(message_of<Error>([&] { store.read(*store.find("auto"), into); }),
                AllOf(HasSubstr("step-15"), HasSubstr("value of model.norm.weight"),
                      HasSubstr("good ones: " + (scratch / "step-5").string() + " "), testing::Not(HasSubstr("step-10"))));
    // That one, named, is taken: by its path, or its run's.
    store.read(*store.find((scratch / "step-5").string()), into);
    expect_filled(into, content(0, 1, 5).slices, "step 5");
  });
}

TEST(CheckpointFaults, AStaleIncarnationCommitsNothing) {
  Scratch scratch;
  Alone stale(scratch.path());
  stale.store.save(5, content(0, 1, 5));
  // The job was started again while this process was cut off, at the worst moment: after its own first look.
  std::unique_ptr<Alone> next;
  Alone cut_off(scratch.path(), {.keep = 3, .on_step = [&](std::string_view step) {
                                   if (step == "manifest written") next = std::make_unique<Alone>(scratch.path());
                                 }});
  EXPECT_THAT(message_of<Error>([&] { stale.store.save(10, content()); }), AllOf(HasSubstr("incarnation 2"), HasSubstr("taken over")));
  EXPECT_THROW(cut_off.store.save(10, content()), Error);
  EXPECT_THAT(names(scratch.path()), ElementsAre("incarnation", "latest", "step-5"));
  next->store.save(10, content(0, 1, 10));
  EXPECT_THAT(message_of<Error>([&] { cut_off.store.save(15, content()); }), HasSubstr("taken over"));
  EXPECT_EQ(load(scratch.path(), "auto", 10).manifest.incarnation, 3);
}

// A process that dies after a step of the save, without a chance to clean up.
void die_while_saving(const fs::path& folder, std::int64_t step, const std::string& after) {
  const auto child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    try {
      Alone alone(folder, {.keep = 1, .on_step = [&](std::string_view now) {
                             if (now == after) _exit(7);
                           }});
      alone.store.save(step, content(0, 1, step), true);
    } catch (...) {
      _exit(1);
    }
    _exit(0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_EQ(WEXITSTATUS(status), 7) << after;
}

TEST(CheckpointFaults, ACrashAfterAnyStepOfTheSaveLeavesAGoodLatest) {
  for (const auto* after : {"folder made", "rank file written", "rank file done", "manifest written", "verified", "published",
                            "latest moved", "best moved", "pruned"}) {
    for (const int next : {10, 5}) {  // a new step, and the same one again
      Scratch scratch;
      Alone(scratch.path()).store.save(5, content(0, 1, 5));
      die_while_saving(scratch.path(), next, after);
      const auto saved = CheckpointFolder(scratch.path()).latest();
      ASSERT_TRUE(saved == 5 || saved == next) << after;
      Alone alone(scratch.path());
      EXPECT_NO_THROW(verify_checkpoint(CheckpointFolder(scratch.path()).step(*saved))) << after;
      for (const auto& name : names(scratch.path())) EXPECT_EQ(name.find(".tmp"), std::string::npos) << after << " left " << name;
      alone.store.save(15, content(0, 1, 15));
      load(scratch.path(), "auto", 15);
    }
  }
}

TEST(CheckpointFaults, HalfDoneReplacementsAndRemovalsAreFinished) {
  Scratch scratch;
  for (const int step : {5, 10}) Alone(scratch.path()).store.save(step, content(0, 1, step));
  fs::rename(scratch / "step-10", scratch / "step-10.old");  // between the two renames where folders cannot be exchanged
  fs::create_directory(scratch / "step-3.gone");
  fs::create_directory(scratch / "step-20.tmp-1");
  fs::create_directory(scratch / "somebody's");
  if (const auto child = fork(); child == 0) write_file_atomically(scratch / "latest", [](File&) { kill(getpid(), SIGKILL); });
  else waitpid(child, nullptr, 0);
  load(scratch.path(), "auto", 10);
  EXPECT_THAT(names(scratch.path()), ElementsAre("incarnation", "latest", "somebody's", "step-10", "step-5"));
  // A crash before the first `latest` was written.
  fs::remove(scratch / "latest");
  load(scratch.path(), "auto", 10);
}

void fill_the_disk(const fs::path& folder, const std::function<void(const std::function<void()>&)>& while_small,
                   const std::string& reason, bool async) {
  const int ranks = 3;
  const std::vector<Logical> big{
      {"value", "w", {300'000}, at::kFloat}, {"exp_avg", "w", {300'000}, at::kFloat}, {"exp_avg_sq", "w", {300'000}, at::kFloat}};
  run_threads(ranks, [&](Communicator& c) { CheckpointStore(folder, c).save(5, content(c.rank(), ranks)); });
  const auto before = names(folder);
  while_small([&] {
    run_threads(ranks, [&](Communicator& c) {
      CheckpointStore store(folder, c, {.async = async});
      const auto error = message_of<Error>([&] {
        store.save(10, {.slices = layout(big, Layout::kReplicas, 0, 1, true, 0)});
        store.finish();
      });
      EXPECT_THAT(error, AllOf(HasSubstr(reason), HasSubstr("rank-000")));
    });
  });
  EXPECT_EQ(names(folder), before);
  load(folder);
  // The same process goes on where there is room.
  run_threads(ranks, [&](Communicator& c) { CheckpointStore(folder, c).save(15, content(c.rank(), ranks, 15)); });
  load(folder, "auto", 15);
}

TEST(CheckpointFaults, AFullDiskEndsAllRanksAndLeavesTheLastOne) {
  for (const bool async : {false, true}) {
    SmallDisk disk(1 << 20);
    if (!disk.mounted()) GTEST_SKIP() << "cannot mount a tmpfs: " << disk.why_not();
    fill_the_disk(
        disk.path(), [](const auto& save) { save(); }, "No space left on device", async);
  }
}

TEST(CheckpointFaults, AFileSizeLimitEndsAllRanksAndLeavesTheLastOne) {
  const auto limited = [](const auto& save) {
    FileSizeLimit limit(500'000);
    save();
  };
  for (const bool async : {false, true}) {
    Scratch scratch;
    fill_the_disk(scratch.path(), limited, "File too large", async);
  }
}

TEST(CheckpointFaults, AnErrorInTheBackgroundReachesAllRanksAtTheNextSave) {
  Scratch scratch;
  run_threads(3, [&](Communicator& c) {
    const auto fail = [&](std::string_view step) {
      if (c.rank() == 1 && step == "rank file written" && !fs::exists(scratch / "mended"))
        throw IoError({.who = "the disk of rank 1", .found = "smoke", .expected = "", .remedy = ""});
    };
    CheckpointStore store(scratch.path(), c, {.async = true, .on_step = fail});
    EXPECT_FALSE(store.failed());
    store.save(5, content(c.rank(), 3, 5));
    while (c.rank() == 1 && !store.failed()) std::this_thread::yield();
    EXPECT_EQ(store.failed(), c.rank() == 1);
    EXPECT_EQ(message_of<IoError>([&] { store.save(10, content(c.rank(), 3, 10)); }), "rank 1: the disk of rank 1: smoke");
    if (c.rank() == 0) {
      EXPECT_THAT(names(scratch.path()), ElementsAre("incarnation"));
      write_file_atomically(scratch / "mended", "");
    }
    c.barrier().wait();
    store.save(15, content(c.rank(), 3, 15));
    store.finish();
    EXPECT_FALSE(store.failed());
  });
  load(scratch.path(), "auto", 15);
}

TEST(CheckpointFaults, AFileThatNeverComesEndsTheWaiting) {
  Scratch scratch;
  std::atomic<bool> told = false;
  run_threads(2, [&](Communicator& c) {
    const auto hang = [&](std::string_view step) {
      while (c.rank() == 1 && step == "rank file written" && !told) std::this_thread::yield();
    };
    CheckpointStore store(scratch.path(), c, {.async = true, .deadline_s = 0.1, .on_step = hang});
    store.save(5, content(c.rank(), 2, 5));
    while (c.rank() == 0 && !store.failed()) std::this_thread::yield();
    told = told || c.rank() == 0;
    EXPECT_THAT(message_of<IoError>([&] { store.finish(); }), AllOf(HasSubstr("rank-0001.done"), HasSubstr("0.1 s"), HasSubstr("rank 1")));
  });
  EXPECT_THAT(names(scratch.path()), ElementsAre("incarnation"));
}

TEST(CheckpointFaults, AnAbandonedSaveCommitsNothing) {
  Scratch scratch;
  run_threads(2, [&](Communicator& c) {
    std::atomic<bool> gone = false;
    const auto wait = [&](std::string_view step) {
      while (step == "rank file written" && !gone) std::this_thread::yield();
    };
    std::thread later;
    {
      CheckpointStore store(scratch.path(), c, {.async = true, .on_step = wait});
      store.save(5, content(c.rank(), 2, 5));
      later = std::thread([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
        gone = true;
      });
    }
    later.join();
  });
  EXPECT_FALSE(fs::exists(scratch / "step-5"));
  EXPECT_FALSE(fs::exists(scratch / "latest"));
}

TEST(CheckpointFaults, ARankThatDoesNotSeeTheFolderSaysSo) {
  Scratch shared, other;
  run_threads(2, [&](Communicator& c) {
    EXPECT_THAT(message_of<IoError>([&] { CheckpointStore(c.rank() == 0 ? shared.path() : other.path(), c); }),
                AllOf(HasSubstr("on rank 1"), HasSubstr("all ranks share")));
  });
}

}  // namespace
}  // namespace herd::test
