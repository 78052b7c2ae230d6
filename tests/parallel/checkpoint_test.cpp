#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <mutex>
#include <set>

#include "parallel/checkpoint/plan.h"
#include "parallel/checkpoint/store.h"
#include "parallel/comm/threads.h"
#include "runtime/base/file.h"
#include "tests/support/disk.h"
#include "tests/support/scratch.h"

namespace herd::test {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// What is saved: closed forms of (tensor, element), different in every place.
struct Logical {
  std::string state, name;
  std::vector<std::int64_t> shape;
  at::ScalarType dtype;
  std::int64_t numel() const { return c10::multiply_integers(shape); }
};

Tensor expected(std::size_t which, const Logical& t, std::int64_t salt) {
  return ((at::arange(t.numel(), at::kLong) * 7 + static_cast<std::int64_t>(which) * 31 + salt * 13) % 251 - 100).to(t.dtype);
}

std::vector<Logical> toy_tensors() {
  std::vector<Logical> all;
  for (const auto* state : {"value", "exp_avg", "exp_avg_sq"})
    for (const auto& [name, shape] : std::vector<std::pair<std::string, std::vector<std::int64_t>>>{
             {"model.embed.weight", {11, 6}}, {"model.layers.0.q_proj.lora_A.weight", {3, 7}}, {"model.norm.weight", {13}}, {"scale", {}}})
      all.push_back({state, name, shape, at::kFloat});
  all.push_back({"value", "half", {5, 5}, at::kBFloat16});
  all.push_back({"count", "rows", {17}, at::kLong});
  return all;
}

/// How ranks hold the tensors.
enum class Layout { kReplicas, kRanges };

/// Of all tensors laid end to end, what rank `rank` of `ranks` holds: all of it, or an uneven range that minds no tensor's edge (as ZeRO's
/// do), with nothing at all for rank 1 of 4.
std::vector<NamedSlice> layout(const std::vector<Logical>& tensors, Layout how, int rank, int ranks, bool filled, std::int64_t salt) {
  std::int64_t total = 0;
  for (const auto& t : tensors) total += t.numel();
  const std::vector<std::int64_t> weights{3, ranks == 4 ? 0 : 1, 2, 5};
  std::int64_t sum = 0, before = 0;
  for (int r = 0; r < ranks; ++r)
    sum += weights[static_cast<std::size_t>(r)], before += r < rank ? weights[static_cast<std::size_t>(r)] : 0;
  auto begin = total * before / sum, end = total * (before + weights[static_cast<std::size_t>(rank)]) / sum;
  if (how == Layout::kReplicas) begin = 0, end = total;
  std::vector<NamedSlice> slices;
  std::int64_t offset = 0;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const auto& t = tensors[i];
    const auto from = std::clamp<std::int64_t>(begin - offset, 0, t.numel()), to = std::clamp<std::int64_t>(end - offset, 0, t.numel());
    if (from < to || how == Layout::kRanges) {
      const auto whole = filled ? expected(i, t, salt) : at::full({t.numel()}, -128, t.dtype);
      slices.push_back({t.state, t.name, t.shape, from, to, whole.narrow(0, from, to - from).clone()});
    }
    offset += t.numel();
  }
  return slices;
}

void expect_filled(const std::vector<NamedSlice>& found, const std::vector<NamedSlice>& wanted, const std::string& what) {
  ASSERT_EQ(found.size(), wanted.size());
  for (std::size_t i = 0; i < found.size(); ++i)
    EXPECT_TRUE(at::equal(found[i].value, wanted[i].value)) << what << ": " << found[i].state << " of " << found[i].name;
}

CheckpointContent content(int rank = 0, int ranks = 1, std::int64_t salt = 0, Layout how = Layout::kReplicas) {
  return {.slices = layout(toy_tensors(), how, rank, ranks, true, salt),
          .state = R"({"loss_scale":0.1,"step":5,"名":[1,2]})",
          .fingerprints = {{"base model", "b1"}, {"tokenizer", "t1"}, {"template", "alpaca"}, {"adapter", "lora r 8"}},
          .config = "train:\n  epochs: 3\n",
          .held_out_loss = 1.25};
}

/// A store of one rank.
struct Alone {
  std::unique_ptr<Communicator> communicator = make_self_communicator();
  CheckpointStore store;
  explicit Alone(const fs::path& folder, CheckpointStoreOptions options = {}) : store(folder, *communicator, std::move(options)) {}
};

std::string error_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

/// Finds and reads it on one rank; throws what is wrong, and fails where the tensors are not those of `salt`.
Checkpoint load(const fs::path& folder, const std::string& resume = "auto", std::int64_t salt = 0) {
  Alone alone(folder);
  auto checkpoint = alone.store.find(resume, content().fingerprints);
  EXPECT_TRUE(checkpoint);
  const auto into = layout(toy_tensors(), Layout::kReplicas, 0, 1, false, 0);
  alone.store.read(*checkpoint, into);
  expect_filled(into, content(0, 1, salt).slices, "load");
  return *checkpoint;
}

/// As `load`, but looks on only: nothing is taken over, nothing synced.
void peek(const fs::path& checkpoint) {
  const auto into = layout(toy_tensors(), Layout::kReplicas, 0, 1, false, 0);
  read_slices(checkpoint, read_manifest(checkpoint), into);
  expect_filled(into, content().slices, "peek");
}

std::set<std::string> names(const fs::path& folder) {
  std::set<std::string> all;
  for (const auto& entry : fs::directory_iterator(folder)) all.insert(entry.path().filename().string());
  return all;
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

TEST(Checkpoint, SavedByAnyNumberOfRanksLoadsOnAnyOther) {
  for (const auto saved_as : {Layout::kReplicas, Layout::kRanges})
    for (int n = 1; n <= 4; ++n) {
      Scratch scratch;
      run_threads(n, [&](Communicator& c) { CheckpointStore(scratch.path(), c).save(5, content(c.rank(), n, 3, saved_as)); });
      for (const auto loaded_as : {Layout::kReplicas, Layout::kRanges})
        for (int m = 1; m <= 4; ++m)
          run_threads(m, [&](Communicator& c) {
            CheckpointStore store(scratch.path(), c);
            const auto checkpoint = store.find("auto", content().fingerprints);
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

TEST(Checkpoint, LongTensorsAreCutAnywhere) {
  Scratch scratch;
  const std::vector<Logical> tensors{{"value", "long", {5 << 20}, at::kFloat}};  // more than one of the pieces in which a file is read
  run_threads(1, [&](Communicator& c) {
    CheckpointStore(scratch.path(), c).save(1, {.slices = layout(tensors, Layout::kReplicas, 0, 1, true, 0)});
  });
  run_threads(3, [&](Communicator& c) {
    CheckpointStore store(scratch.path(), c);
    const auto into = layout(tensors, Layout::kRanges, c.rank(), 3, false, 0);
    store.read(*store.find("auto", {}), into);
    expect_filled(into, layout(tensors, Layout::kRanges, c.rank(), 3, true, 0), "long");
  });
}

TEST(Checkpoint, SlicesThatOverlapOrLeaveHolesAreRefused) {
  const auto piece = [](std::int64_t begin, std::int64_t end) { return Piece{"value", "w", {4, 5}, "F32", 4, begin, end}; };
  EXPECT_EQ(plan_save({{piece(0, 12)}, {piece(12, 20)}}).assignments.size(), 2u);
  EXPECT_THAT(error_of([&] { plan_save({{piece(0, 12)}, {piece(13, 20)}}); }), AllOf(HasSubstr("value of w"), HasSubstr("element 12")));
  EXPECT_THAT(error_of([&] { plan_save({{piece(0, 12)}, {piece(11, 20)}}); }), HasSubstr("value of w"));
  EXPECT_THAT(error_of([&] { plan_save({{piece(0, 12)}, {piece(12, 19)}}); }), HasSubstr("up to element 19 of 20"));
  EXPECT_THAT(error_of([&] { plan_save({{piece(0, 20)}, {{"value", "w", {5, 4}, "F32", 4, 0, 20}}}); }), HasSubstr("rank 1"));
  Scratch scratch;
  run_threads(2, [&](Communicator& c) {
    CheckpointStore store(scratch.path(), c);
    auto mine = content(c.rank(), 2, 0, Layout::kRanges);
    if (c.rank() == 1) mine.slices.pop_back();
    EXPECT_THAT(error_of([&] { store.save(1, mine); }), HasSubstr("count of rows"));
  });
  EXPECT_THAT(names(scratch.path()), ElementsAre("incarnation"));
}

TEST(Checkpoint, AFlippedByteAnywhereInARankFileIsNamed) {
  Scratch scratch;
  Alone(scratch.path()).store.save(5, content());
  const auto file = scratch / "step-5" / "rank-0000.h5";
  std::int64_t data_bytes = 0, named = 0, harmless = 0;
  for (const auto& s : content().slices) data_bytes += static_cast<std::int64_t>(s.value.nbytes());
  const auto manifest = read_manifest(scratch / "step-5");
  for (std::uintmax_t at = 0; at < manifest.files[0].bytes; at += 2) {
    flip(file, at);
    const auto error =
        error_of([&] { verify_files(scratch / "step-5", manifest); });  // all that is not a value, HDF5's own structures, as well
    EXPECT_THAT(error, HasSubstr("rank-0000.h5")) << at;
    named += error.find(", elements [") != std::string::npos;
    // Reading meets what it needs alone: then it is either told or right (`peek` looks).
    if (at % 20 == 0) {
      const auto loading = error_of([&] { peek(scratch / "step-5"); });
      harmless += loading == "no error";
      EXPECT_THAT(loading, testing::AnyOf("no error", HasSubstr("rank-0000.h5")));
    }
    flip(file, at);
  }
  EXPECT_EQ(named, data_bytes / 2) << "datasets begin at even bytes";
  EXPECT_GT(harmless, 0);
  verify_checkpoint(scratch / "step-5");
}

TEST(Checkpoint, AFlippedByteAnywhereInTheManifestIsTold) {
  Scratch scratch;
  Alone(scratch.path()).store.save(5, content());
  const auto file = scratch / "step-5" / "manifest.json";
  for (std::uintmax_t at = 0; at < fs::file_size(file); at += 11) {
    for (const int bits : {0x01, 0x10, 0x80}) {
      flip(file, at, bits);
      // A byte between the words, or another way to write a word, changes nothing.
      EXPECT_THAT(error_of([&] { peek(scratch / "step-5"); }), testing::AnyOf("no error", HasSubstr("manifest.json"))) << at;
      flip(file, at, bits);
    }
  }
}

TEST(Checkpoint, CutOffMissingAndForeignFilesAreNamed) {
  Scratch scratch;
  const auto folder = scratch / "step-5", file = folder / "rank-0001.h5", manifest = folder / "manifest.json";
  run_threads(2, [&](Communicator& c) { CheckpointStore(scratch.path(), c).save(5, content(c.rank(), 2)); });
  const auto whole = read_file(file), text = read_file(manifest);
  const auto complaint = [&] { return error_of([&] { load(scratch.path()); }); };
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
  EXPECT_THAT(error_of([&] { load(scratch.path(), scratch / "nowhere"); }), HasSubstr("no such folder"));
}

TEST(Checkpoint, ABrokenLatestIsNeverPassedOverInSilence) {
  Scratch scratch;
  Alone alone(scratch.path());
  for (const int step : {5, 10, 15}) alone.store.save(step, content(0, 1, step));
  flip(scratch / "step-15" / "rank-0000.h5", read_manifest(scratch / "step-15").tensors[2].slices[0].offset + 1);
  flip(scratch / "step-10" / "manifest.json", 400);
  run_threads(2, [&](Communicator& c) {
    CheckpointStore store(scratch.path(), c);
    const auto into = layout(toy_tensors(), Layout::kReplicas, 0, 1, false, 0);
    EXPECT_THAT(error_of([&] { store.read(*store.find("auto", {}), into); }),
                AllOf(HasSubstr("step-15"), HasSubstr("value of model.norm.weight"),
                      HasSubstr("good ones: " + (scratch / "step-5").string() + " "), testing::Not(HasSubstr("step-10"))));
    // That one, named, is taken: by its path, or its run's.
    store.read(*store.find((scratch / "step-5").string(), {}), into);
    expect_filled(into, content(0, 1, 5).slices, "step 5");
  });
}

TEST(Checkpoint, AnotherModelTokenizerTemplateOrAdapterIsRefusedByName) {
  Scratch scratch;
  Alone alone(scratch.path());
  EXPECT_FALSE(alone.store.find("auto", {}));
  alone.store.save(5, content());
  for (const auto& [name, stored] : content().fingerprints) {
    auto run = content().fingerprints;
    run[name] = "other";
    EXPECT_THAT(error_of([&] { alone.store.find("auto", run); }),
                AllOf(HasSubstr("step-5 is of another " + name + ":"), HasSubstr(name + " " + stored + "; expected " + name + " other")));
    EXPECT_THROW(alone.store.find("auto", run), ConfigError);
    run[name] = "";
    EXPECT_TRUE(alone.store.find("auto", run)) << "what the run does not know is not compared";
  }
  auto run = content().fingerprints;
  run["tokenizer"] = "x", run["shoe size"] = "46";
  EXPECT_THAT(error_of([&] { alone.store.find("auto", run); }),
              HasSubstr("another shoe size and another tokenizer: shoe size unknown, tokenizer t1;"));
}

TEST(Checkpoint, TensorsThatDoNotFitAreNamed) {
  Scratch scratch;
  Alone(scratch.path()).store.save(5, content());
  const auto complaint = [&](const std::function<void(std::vector<NamedSlice>&)>& change) {
    Alone alone(scratch.path());
    auto into = layout(toy_tensors(), Layout::kReplicas, 0, 1, false, 0);
    change(into);
    return error_of([&] { alone.store.read(*alone.store.find("auto", {}), into); });
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
  Alone alone(scratch.path(), {.keep = 2, .on_step = {}});
  for (const int step : {5, 10, 15, 20, 100}) alone.store.save(step, content(0, 1, step), step == 10);
  EXPECT_THAT(names(scratch.path()), ElementsAre("best", "incarnation", "latest", "step-10", "step-100", "step-20"));
  EXPECT_EQ(CheckpointFolder(scratch.path()).latest(), 100);
  EXPECT_EQ(CheckpointFolder(scratch.path()).best(), 10);
  load(scratch.path(), (scratch / "step-10").string(), 10);
  // A return to step 20: what comes from there is newer than the abandoned step 100.
  Alone again(scratch.path(), {.keep = 2, .on_step = {}});
  again.store.save(25, content(0, 1, 25), true);
  EXPECT_EQ(load(scratch.path(), "auto", 25).folder, scratch / "step-25");
  Alone last(scratch.path(), {.keep = 2, .on_step = {}});
  last.store.save(30, content(0, 1, 30));
  EXPECT_THAT(names(scratch.path()), ElementsAre("best", "incarnation", "latest", "step-25", "step-30"));
  // The same step once more takes the place of the old one.
  last.store.save(30, content(0, 1, 31));
  EXPECT_THAT(names(scratch.path()), ElementsAre("best", "incarnation", "latest", "step-25", "step-30"));
  load(scratch.path(), "auto", 31);
}

TEST(Checkpoint, AStaleIncarnationCommitsNothing) {
  Scratch scratch;
  Alone stale(scratch.path());
  stale.store.save(5, content(0, 1, 5));
  // The job was started again while this process was cut off, at the worst moment: after its own first look.
  std::unique_ptr<Alone> next;
  Alone cut_off(scratch.path(), {.keep = 3, .on_step = [&](std::string_view step) {
                                   if (step == "manifest written") next = std::make_unique<Alone>(scratch.path());
                                 }});
  EXPECT_THAT(error_of([&] { stale.store.save(10, content()); }), AllOf(HasSubstr("incarnation 2"), HasSubstr("taken over")));
  EXPECT_NE(error_of([&] { cut_off.store.save(10, content()); }), "no error");
  EXPECT_THAT(names(scratch.path()), ElementsAre("incarnation", "latest", "step-5"));
  next->store.save(10, content(0, 1, 10));
  EXPECT_THAT(error_of([&] { cut_off.store.save(15, content()); }), HasSubstr("taken over"));
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

TEST(Checkpoint, ACrashAfterAnyStepOfTheSaveLeavesAGoodLatest) {
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

TEST(Checkpoint, HalfDoneReplacementsAndRemovalsAreFinished) {
  Scratch scratch;
  for (const int step : {5, 10}) Alone(scratch.path()).store.save(step, content(0, 1, step));
  fs::rename(scratch / "step-10", scratch / "step-10.old");  // between the two renames where folders cannot be exchanged
  fs::create_directory(scratch / "step-3.gone");
  fs::create_directory(scratch / "step-20.tmp-1");
  fs::create_directory(scratch / "somebody's");
  load(scratch.path(), "auto", 10);
  EXPECT_THAT(names(scratch.path()), ElementsAre("incarnation", "latest", "somebody's", "step-10", "step-5"));
  // A crash before the first `latest` was written.
  fs::remove(scratch / "latest");
  load(scratch.path(), "auto", 10);
}

void fill_the_disk(const fs::path& folder, const std::function<void(const std::function<void()>&)>& while_small,
                   const std::string& reason) {
  const int ranks = 3;
  const std::vector<Logical> big{
      {"value", "w", {300'000}, at::kFloat}, {"exp_avg", "w", {300'000}, at::kFloat}, {"exp_avg_sq", "w", {300'000}, at::kFloat}};
  run_threads(ranks, [&](Communicator& c) { CheckpointStore(folder, c).save(5, content(c.rank(), ranks)); });
  const auto before = names(folder);
  while_small([&] {
    run_threads(ranks, [&](Communicator& c) {
      CheckpointStore store(folder, c);
      const auto error = error_of([&] { store.save(10, {.slices = layout(big, Layout::kReplicas, 0, 1, true, 0)}); });
      EXPECT_THAT(error, AllOf(HasSubstr(reason), HasSubstr("rank-000")));
    });
  });
  EXPECT_EQ(names(folder), before);
  load(folder);
  // The same process goes on where there is room.
  run_threads(ranks, [&](Communicator& c) { CheckpointStore(folder, c).save(15, content(c.rank(), ranks, 15)); });
  load(folder, "auto", 15);
}

TEST(Checkpoint, AFullDiskEndsAllRanksAndLeavesTheLastOne) {
  SmallDisk disk(1 << 20);
  if (!disk.mounted()) GTEST_SKIP() << "cannot mount a tmpfs: " << disk.why_not();
  fill_the_disk(
      disk.path(), [](const auto& save) { save(); }, "No space left on device");
}

TEST(Checkpoint, AFileSizeLimitEndsAllRanksAndLeavesTheLastOne) {
  Scratch scratch;
  const auto limited = [](const auto& save) {
    FileSizeLimit limit(500'000);
    save();
  };
  fill_the_disk(scratch.path(), limited, "File too large");
}

}  // namespace
}  // namespace herd::test
