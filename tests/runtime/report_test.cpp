// What a run tells: its folder and lock, metrics, TensorBoard framing, the bar. tests/e2e reads the files of a real run with TensorBoard and Pillow.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <csignal>
#include <limits>

#include "runtime/base/error.h"
#include "runtime/report/metrics.h"
#include "runtime/report/plot.h"
#include "runtime/report/progress.h"
#include "runtime/report/run_folder.h"
#include "runtime/report/tensorboard.h"
#include "tests/support/errors.h"
#include "tests/support/scratch.h"

namespace herd {
namespace {

namespace fs = std::filesystem;
using test::Scratch;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

TEST(Metrics, ResumedRunForgetsWhatCameAfterItsCheckpoint) {
  const Scratch scratch;
  const auto path = scratch / "metrics.jsonl";
  {
    MetricsWriter writer(path, std::nullopt);
    for (int step = 1; step <= 5; ++step) writer.write(step, {{"loss", 1.0 / step}});
  }
  File(path, File::Mode::append).write(R"({"step":6,"ti)");  // a machine that died while writing
  MetricsWriter(path, 3).write(4, {{"loss", 0.125}});
  std::vector<std::pair<std::int64_t, double>> found;
  for (const auto& line : read_metrics(path)) found.emplace_back(line.step, line.get("loss").value());
  EXPECT_THAT(found, ElementsAre(std::pair(1, 1.0), std::pair(2, 0.5), std::pair(3, 1.0 / 3), std::pair(4, 0.125))) << "exact to the last bit";
}

TEST(Metrics, NumbersThatAreNotFiniteComeBack) {
  const Scratch scratch;
  const double infinity = std::numeric_limits<double>::infinity();
  MetricsWriter(scratch / "m", std::nullopt).write(1, {{"a", std::nan("")}, {"b", -infinity}, {"c", infinity}, {"d", 2}});
  const auto line = read_metrics(scratch / "m").at(0);
  EXPECT_TRUE(std::isnan(line.get("a").value()));
  EXPECT_EQ(line.get("b"), -infinity);
  EXPECT_EQ(line.get("c"), infinity);
  EXPECT_EQ(line.get("d"), 2);
  EXPECT_EQ(line.get("e"), std::nullopt);
}

TEST(TensorBoard, ChecksumIsCrc32c) {
  EXPECT_EQ(crc32c("123456789"), 0xe3069283u);  // the check value of CRC-32C's definition
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aau) << "RFC 3720, B.4";
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62a8ab43u) << "RFC 3720, B.4";
}

TEST(RunFolder, OneLivingRunAtATime) {
  const Scratch scratch;
  const RunFolder folder(scratch / "run");
  int ready[2], leave[2];
  ASSERT_EQ(pipe(ready) + pipe(leave), 0);
  const auto child = fork();
  if (child == 0) {
    const RunLock lock(folder);
    char byte = 'x';
    if (write(ready[1], &byte, 1) != 1 || read(leave[0], &byte, 1) != 1) _exit(1);
    _exit(0);
  }
  char byte = 0;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  EXPECT_THAT(test::message_of<IoError>([&] { RunLock second(folder); }),
              AllOf(HasSubstr("in use by another run"), HasSubstr("process " + std::to_string(child)), HasSubstr("(run.name=…)")));
  ASSERT_EQ(write(leave[1], &byte, 1), 1);
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  EXPECT_NO_THROW(RunLock third(folder)) << "a dead run's folder is free";
}

TEST(RunFolder, WhatAKilledRunWasWritingIsRemovedByTheNext) {
  const Scratch scratch;
  const RunFolder folder(scratch / "run");
  fs::create_directories(folder.errors());
  for (const auto& path : {folder.config(), folder.errors() / "rank-1.txt"}) {
    const auto child = fork();
    if (child == 0) write_file_atomically(path, [](File& file) {
      file.write("half");
      kill(getpid(), SIGKILL);
    });
    waitpid(child, nullptr, 0);
  }
  const auto count = [](const fs::path& in) { return std::distance(fs::directory_iterator(in), {}); };
  EXPECT_EQ(count(folder.root()), 2);
  EXPECT_EQ(count(folder.errors()), 1);
  const RunLock lock(folder);
  EXPECT_EQ(count(folder.root()), 2) << "errors and lock";
  EXPECT_EQ(count(folder.errors()), 0);
}

TEST(RunFolder, NewOnesAreNamedByDateAndLetter) {
  const Scratch scratch;
  std::vector<std::string> names;
  for (int i = 0; i < 28; ++i) names.push_back(new_run_folder(scratch.path()).root().filename());
  EXPECT_THAT(names.front(), testing::MatchesRegex("20..-..-..-a"));
  EXPECT_THAT(names[25], testing::EndsWith("-z"));
  EXPECT_THAT(names[26], testing::EndsWith("-aa"));
  EXPECT_THAT(names[27], testing::EndsWith("-ab"));
}

TEST(RunFolder, TheFirstCauseOfAnyRankIsTold) {
  const Scratch scratch;
  const RunFolder folder(scratch / "run");
  EXPECT_FALSE(first_cause(folder));
  EXPECT_TRUE(write_cause(folder, 2, "disk full\non /scratch"));
  EXPECT_TRUE(write_cause(folder, 0, "peer gone"));
  EXPECT_TRUE(write_cause(folder, 2, "a consequence"));
  const auto cause = first_cause(folder).value();
  EXPECT_EQ(cause.rank, 2);
  EXPECT_EQ(cause.message, "disk full\non /scratch");
  const RunLock lock(folder);
  EXPECT_FALSE(first_cause(folder)) << "a new run begins without the former one's causes";
}

TEST(Progress, BarFitsItsTerminal) {
  const ProgressState state{.step = 34, .steps = 100, .loss = 1.2345, .learning_rate = 3e-4, .tokens_per_s = 12345, .eta_s = 83,
                            .memory = {.resident = 3ull << 29, .peak = 2ull << 30}};
  for (int columns = 1; columns < 200; ++columns) EXPECT_LT(render_bar(state, columns).size(), static_cast<std::size_t>(columns)) << columns;
  EXPECT_THAT(render_bar(state, 140), AllOf(HasSubstr(" 34% [="), HasSubstr("step 34/100  loss 1.2345  eta 1:23  12,345 tok/s"),
                                            HasSubstr("mem 1.5 GiB  lr 3.00e-04  peak mem 2 GiB")));
  EXPECT_THAT(render_bar(state, 80), AllOf(HasSubstr(" 34% [="), HasSubstr("eta 1:23  12,345 tok/s  mem 1.5 GiB"))) << "what everybody wants fits the usual terminal";
  EXPECT_THAT(render_bar(state, 40), AllOf(HasSubstr("step 34/100  loss 1.2345"), testing::Not(HasSubstr("mem"))));
}

TEST(Progress, TimesForPeople) {
  EXPECT_EQ(human_time(0), "0:00");
  EXPECT_EQ(human_time(245.4), "4:05");
  EXPECT_EQ(human_time(3723), "1:02:03");
  EXPECT_EQ(human_time(3 * 86400 + 4 * 3600), "3d 4h");
  EXPECT_EQ(human_time(-1), "?");
  EXPECT_EQ(human_time(std::nan("")), "?");
}

TEST(LossCurve, AverageOfAConstantIsTheConstantFromItsStart) {
  std::vector<CurvePoint> points;
  for (int i = 0; i < 100; ++i) points.push_back({static_cast<double>(i), 2.5});
  for (const auto& point : smoothed(points)) EXPECT_DOUBLE_EQ(point.value, 2.5);
}

TEST(LossCurve, TicksAreRound) {
  EXPECT_THAT(nice_ticks(0, 10, 5), ElementsAre(0, 2, 4, 6, 8, 10));
  for (const auto tick : nice_ticks(0.013, 0.047, 6)) EXPECT_NEAR(std::remainder(tick, 0.005), 0, 1e-12);
}

TEST(LossCurve, DrawsWhateverItGets) {
  const Scratch scratch;
  const LossCurves none{.title = "empty", .train = {}, .held_out = {}};
  const LossCurves odd{.title = "\xff broken 乱 \n", .train = {{1, std::nan("")}, {2, 3}}, .held_out = {{2, 1e30}}};
  for (const auto& curves : {none, odd}) {
    plot_losses(scratch / "loss.png", curves);
    EXPECT_THAT(read_file(scratch / "loss.png"), testing::StartsWith("\x89PNG"));
  }
}

}  // namespace
}  // namespace herd
