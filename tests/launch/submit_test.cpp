// `herd submit`: what it writes, and what it refuses. The oracles are bash, which reads the scripts back and runs them over stand-ins for
// mpirun and SLURM's commands, and a script written out in full beside this file. tests/cluster/slurm_test.py has a real SLURM.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <cstdlib>
#include <limits>
#include <nlohmann/json.hpp>
#include <thread>

#include "launch/jobs/batch_script.h"
#include "launch/jobs/shell.h"
#include "launch/jobs/slurm_words.h"
#include "launch/jobs/stages.h"
#include "runtime/base/child_process.h"
#include "runtime/base/file.h"
#include "runtime/report/run_folder.h"
#include "tests/support/assets.h"
#include "tests/support/errors.h"
#include "tests/support/run_herd.h"

namespace herd {
namespace {
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
namespace fs = std::filesystem;

const std::vector<std::string> kOddWords{"plain", "two words", "",   "it's",        "\"double\"", "$HOME", "`date`",
                                         "a*b?",  "~",         "-n", "back\\slash", "模型 甲",    "100%",  "a;b|c&d",
                                         "#no",   "(x)",       "!!", "{a,b}",       "k=v"};

void write_program(const fs::path& path, const std::string& body) {
  write_file_atomically(path, "#!/bin/bash\n" + body + "\n");
  fs::permissions(path, fs::perms::owner_all);
}

BatchJob job_in(const fs::path& folder) {
  return {.name = "alpaca",
          .run_folder = folder / "runs/alpaca",
          .working_folder = folder,
          .herd = "/opt/herd/bin/herd",
          .nodes = 2,
          .ranks_per_node = 8,
          .gpus_per_node = 8,
          .cpus_per_rank = 4,
          .time = "12:00:00"};
}

SiteOptions some_site() {
  return {.mpirun_options = {"--bind-to", "none"},
          .srun_options = {"--mpi=pmix"},
          .modules = {"openmpi/4.1"},
          .environment = {{"NCCL_SOCKET_IFNAME", "ib0"}, {"TITLE", "it's"}},
          .setup = {"ulimit -l unlimited"},
          .container = {"apptainer", "exec", "--nv", "/shared/my image.sif"},
          .partition = "gpu",
          .directives = {"--exclusive"},
          .signal_s = 120};
}

TEST(Shell, BashReadsWordsBack) {
  test::Scratch scratch;
  for (const auto& word : kOddWords) {
    const auto file = scratch / "word";
    ASSERT_EQ(ChildProcess({.command = {"bash", "-c", "printf '%s' " + shell_word(word) + " >" + shell_word(file.string())}}).wait(), 0)
        << word;
    EXPECT_EQ(read_file(file), word);
  }
  EXPECT_EQ(shell_words({"a", "b c"}), "a 'b c'");
  EXPECT_THAT(test::message_of<ConfigError>([] { shell_word("a\nb"); }), HasSubstr("a line break in 'a"));
}

TEST(Shell, WordsOfALineAsBashPartsThem) {
  for (const auto* line : {"merge", "evaluate --task gsm8k  --data 'my file.jsonl'", R"(a"b c"d '' "" e\ f "g\"h" 'i\j')", "  x  "}) {
    test::Scratch scratch;
    const auto file = scratch / "words";
    ASSERT_EQ(ChildProcess({.command = {"bash", "-c", "set -f; printf '%s\\n' " + std::string(line) + " >" + file.string()}}).wait(), 0);
    std::string words;
    for (const auto& word : split_words(line)) words += word + "\n";
    EXPECT_EQ(words, read_file(file)) << line;
  }
  EXPECT_THAT(split_words(" "), ElementsAre());
  EXPECT_THAT(test::message_of<ConfigError>([] { split_words("a 'b"); }), HasSubstr("a ' that does not end"));
}

TEST(Shell, PlacesAreFilledOnce) {
  EXPECT_EQ(fill_places("a @x@ b\n@y@\n${z[@]} @@ me@home\n", {{"x", "@y@"}, {"y", ""}}), "a @y@ b\n${z[@]} @@ me@home\n");
  EXPECT_THAT(test::message_of<ConfigError>([] { fill_places("@other@\n", {}); }), HasSubstr("the place '@other@'"));
  EXPECT_THAT(test::message_of<ConfigError>([] { fill_places("\n", {{"x", "1"}}); }), HasSubstr("no place '@x@'"));
}

TEST(SlurmWords, TimesAsTheManualHasThem) {
  const std::vector<std::pair<std::string, double>> good{{"90", 5400},
                                                         {"10:30", 630},
                                                         {"12:00:00", 43200},
                                                         {"1-12", 129600},
                                                         {"1-0:30", 88200},
                                                         {"2-01:02:03", 176523},
                                                         {"UNLIMITED", std::numeric_limits<double>::infinity()}};
  for (const auto& [text, seconds] : good) EXPECT_EQ(slurm_time_s(text), seconds) << text;
  for (const auto* text : {"", "0", "00:00", "1h", "-5", "1:2:3:4", "1-", "1.5", "10 ", "1-2-3"}) EXPECT_FALSE(slurm_time_s(text)) << text;
}

TEST(SlurmWords, IndicesOfAnArray) {
  EXPECT_THAT(array_indices("0-3"), ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(array_indices("5,1,7-8"), ElementsAre(5, 1, 7, 8));
  EXPECT_THAT(array_indices("0-10:4%2"), ElementsAre(0, 4, 8));
  for (const auto* text : {"", "a", "3-1", "1,1", "0-4:0", "1,", "%2", "0-99999", "1-2-3", "-1"})
    EXPECT_THROW(array_indices(text), ConfigError) << text;
  EXPECT_TRUE(is_job_id("123") && is_job_id("12_3"));
  EXPECT_FALSE(is_job_id("") || is_job_id("12;c") || is_job_id("a") || is_job_id("12_"));
}

TEST(Script, IsTheOneWrittenOutHere) {
  EXPECT_EQ(train_script(job_in("/work"), some_site(), "ours"), read_file(test::source_dir() / "tests/launch/submit_golden.sbatch"));
}

TEST(Script, RefusesWhatSbatchCannotWrite) {
  auto job = job_in("/a\\b");
  EXPECT_THAT(test::message_of<ConfigError>([&] { train_script(job, {}, "s"); }), HasSubstr("a backslash"));
  job = job_in("/a");
  job.partition = "a\nb";
  EXPECT_THAT(test::message_of<ConfigError>([&] { train_script(job, {}, "s"); }), HasSubstr("a line break"));
}

TEST(Script, AnArrayHasAFolderAndANumberForEachElement) {
  auto job = job_in("/w 100%");
  job.run_folder += "-";
  job.array = "0-7%2";
  job.after = "77";
  const auto script = train_script(job, {.srun_options = {"--mpi=pmix"}, .gpu_request = SiteOptions::GpuRequest::kGres}, "s");
  EXPECT_THAT(script,
              AllOf(HasSubstr("#SBATCH --array=0-7%2\n"), HasSubstr("#SBATCH --output=\"/w 100%%/runs/alpaca-%a/slurm-%A_%a.log\"\n"),
                    HasSubstr("run='/w 100%/runs/alpaca-'$SLURM_ARRAY_TASK_ID\n"),
                    HasSubstr("scontrol requeue \"${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID\""), HasSubstr("#SBATCH --gres=gpu:8\n"),
                    HasSubstr("#SBATCH --dependency=afterok:77\n#SBATCH --kill-on-invalid-dep=yes\n")));
}

TEST(Script, BashParsesWhateverTheNamesAre) {
  test::Scratch scratch;
  for (const auto& word : kOddWords) {
    if (word.empty() || word.find('\\') != std::string::npos) continue;
    auto job = job_in(scratch.path() / word);
    job.name = word;
    job.run_folder = scratch.path() / word / word;
    for (const auto launcher : {SiteOptions::Launcher::kMpirun, SiteOptions::Launcher::kSrun}) {
      auto site = some_site();
      site.launcher = launcher;
      site.environment["ODD"] = word;
      write_file_atomically(scratch / "train", train_script(job, site, word));
      write_file_atomically(scratch / "stage", stage_script(job, {.name = "merge", .command = {"merge", "--model", word}}, site, word));
      for (const auto* file : {"train", "stage"})
        EXPECT_EQ(ChildProcess({.command = {"bash", "-n", (scratch / file).string()}}).wait(), 0) << word;
    }
  }
}

// A script with stand-ins: mpirun starts the program, which is a line of bash; scontrol writes down what it is told.
class ScriptAtWork : public testing::Test {
 protected:
  ScriptAtWork() {
    for (const auto* folder : {"bin", "runs/alpaca/checkpoints"}) make_folder(scratch_ / folder);
    write_program(scratch_ / "bin/mpirun",
                  "shift 2; trap 'kill -USR1 $child' USR1; \"$@\" & child=$!\nwait $child; code=$?\nwhile kill -0 $child 2>/dev/null; do "
                  "wait $child; code=$?; done; wait $child; exit $?");
    write_program(scratch_ / "bin/scontrol", "echo \"$@\" >>" + requeued().string());
  }
  fs::path requeued() const { return scratch_ / "requeued"; }
  fs::path run() const { return scratch_ / "runs/alpaca"; }

  ChildProcess start(const std::string& herd) {
    write_program(scratch_ / "herd", herd);
    auto job = job_in(scratch_.path());
    job.herd = (scratch_ / "herd").string();
    write_file_atomically(scratch_ / "job.sbatch", train_script(job, {}, "s"));
    fs::remove(requeued());
    return ChildProcess({.command = {"bash", (scratch_ / "job.sbatch").string()},
                         .environment = {{"PATH", (scratch_ / "bin").string() + ":" + std::getenv("PATH")}, {"SLURM_JOB_ID", "4711"}}});
  }
  // @return what scontrol was told.
  std::string queued_again() const { return fs::exists(requeued()) ? read_file(requeued()) : ""; }
  void checkpoint(const std::string& step) const { write_file_atomically(run() / "checkpoints/latest", step + "\n"); }

  test::Scratch scratch_;
};

TEST_F(ScriptAtWork, QueuesItselfAgainWhenAllIsSavedAndNotElse) {
  for (const auto& [code, again] :
       std::vector<std::pair<int, bool>>{{0, false}, {1, false}, {2, false}, {75, true}, {76, true}, {137, false}}) {
    EXPECT_EQ(start(fmt::format("echo step-$RANDOM$RANDOM >{}/checkpoints/latest; exit {}", run().string(), code)).wait(), code);
    EXPECT_EQ(queued_again(), again ? "requeue 4711\n" : "") << code;
  }
}

TEST_F(ScriptAtWork, BeginsAsTheRecipeSaysAndGoesOnWithItsOwn) {
  const auto told = "echo \"$@\" >" + (scratch_ / "told").string();
  start(told).wait();
  EXPECT_EQ(read_file(scratch_ / "told"), "train " + run().string() + "/submitted.yaml\n");
  checkpoint("step-4");
  start(told).wait();
  EXPECT_THAT(read_file(scratch_ / "told"), HasSubstr("/submitted.yaml resume=auto\n"));
}

TEST_F(ScriptAtWork, HandsTheSignalOnAndKeepsTheCode) {
  const auto ready = (scratch_ / "ready").string();
  const auto progress = "echo step-$RANDOM$RANDOM >" + (run() / "checkpoints/latest").string() + "; ";
  const auto told = [&](const std::string& herd, int signal, int times = 1) {
    fs::remove(ready);
    auto script = start(progress + "echo >" + ready + "; " + herd);
    while (!fs::exists(ready)) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    std::this_thread::sleep_for(std::chrono::milliseconds(100));  // for its trap
    for (; times > 0; --times) {
      ::kill(script.id(), signal);
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
    return script.wait();
  };
  EXPECT_EQ(told("trap 'exit 75' USR1; while :; do sleep 0.02; done", SIGUSR1), 75);
  EXPECT_EQ(queued_again(), "requeue 4711\n");
  EXPECT_EQ(told("while :; do sleep 0.02; done", SIGUSR1), 128 + SIGUSR1) << "it came before herd could hear it";
  EXPECT_EQ(queued_again(), "requeue 4711\n");
  EXPECT_EQ(told("trap 'sleep 0.6; exit 75' USR1; while :; do sleep 0.02; done", SIGUSR1, 3), 75) << "each ends a wait";
  EXPECT_EQ(told("sleep 0.4; exit 76", SIGTERM), 76) << "SLURM ends the job";
  EXPECT_EQ(queued_again(), "");
}

TEST_F(ScriptAtWork, EndsForGoodWhenToldToOrWhenNothingComesOfIt) {
  write_file_atomically(run() / "stop", "");
  EXPECT_EQ(start("exit 75").wait(), 75);
  EXPECT_EQ(queued_again(), "");
  fs::remove(run() / "stop");
  checkpoint("step-4");
  for (const bool again : {true, true, false}) {
    start("exit 75").wait();
    EXPECT_EQ(!queued_again().empty(), again);
  }
  start("echo step-8 >" + (run() / "checkpoints/latest").string() + "; exit 75").wait();
  EXPECT_EQ(queued_again(), "requeue 4711\n") << "a checkpoint is progress";
}

TEST(Site, IsReadAsStrictlyAsARecipe) {
  EXPECT_EQ(load_site("default").launcher, SiteOptions::Launcher::kMpirun);
  test::Scratch scratch;
  const auto file = (scratch / "s.yaml").string();
  const auto error = [&](const std::string& yaml) {
    write_file_atomically(file, yaml);
    return test::outcome_of<ConfigError>([&] { load_site(file); });
  };
  EXPECT_EQ(error("launcher: srun\nenvironment: {A_1: x y}\nsignal_s: 60\n"), test::kNoError);
  EXPECT_THAT(error("launcher: srun\nmoduls: [a]\n"),
              AllOf(HasSubstr(file + ":2:1: unknown key 'moduls'"), HasSubstr("did you mean 'modules'?")));
  EXPECT_THAT(error("launcher: qsub\n"), HasSubstr("one of mpirun, srun"));
  EXPECT_THAT(error("environment: {a-b: 1}\n"), HasSubstr("'a-b'"));
  EXPECT_THAT(error("directives: [exclusive]\n"), HasSubstr("options of sbatch"));
  EXPECT_THAT(error("time: soon\n"), HasSubstr("HH:MM:SS"));
  EXPECT_THAT(test::message_of<ConfigError>([] { load_site("defualt"); }),
              AllOf(HasSubstr("--site defualt"), HasSubstr("did you mean 'default'?")));
}

TEST(Stages, TakeTheirModelFromTheRunAndFromEachOther) {
  const TrainedRun adapter{.folder = "/r", .base = "/m", .adapter = true}, whole{.folder = "/r", .base = "/m", .adapter = false};
  const auto evaluate = std::string("evaluate --task t --data d");
  auto stages = stages_of({"merge", evaluate, evaluate + " --output %run/x"}, adapter);
  EXPECT_THAT(stages[0].command, ElementsAre("merge", "--model", "/m", "--adapter", "/r/adapter", "--output", "/r/merged"));
  EXPECT_THAT(stages[1].command,
              ElementsAre("evaluate", "--task", "t", "--data", "d", "--model", "/r/merged", "--output", "/r/evaluation"));
  EXPECT_THAT(stages[2].command, ElementsAre("evaluate", "--task", "t", "--data", "d", "--output", "/r/x", "--model", "/r/merged"));
  EXPECT_EQ(stages[2].name, "evaluate2");
  EXPECT_TRUE(stages[1].on_ranks && !stages[0].on_ranks);
  EXPECT_THAT(stages_of({evaluate}, adapter)[0].command, AllOf(testing::Contains("/m"), testing::Contains("/r/adapter")));
  EXPECT_THAT(stages_of({evaluate}, whole)[0].command, AllOf(testing::Contains("/r/model"), Not(testing::Contains("--adapter"))));
  EXPECT_THROW(stages_of({"merge"}, whole), ConfigError);
  EXPECT_THAT(test::message_of<ConfigError>([&] { stages_of({"evaluat"}, whole); }), HasSubstr("did you mean 'evaluate'?"));
  EXPECT_THAT(test::message_of<ConfigError>([&] { stages_of({"train x"}, whole); }), HasSubstr("no stage"));
}

// The command, over stand-ins for sbatch, squeue and scancel.
class SubmitCommand : public test::CommandTest {
 protected:
  SubmitCommand() : CommandTest("submit") {
    make_folder(bin());
    recipe_ = (scratch_ / "r.yaml").string();
    write_file_atomically(recipe_, "model: {path: /m}\npeft: {method: lora}\ndata: {sets: [d.json]}\nrun: {folder: " +
                                       (scratch_ / "runs").string() + ", name: alpaca}\n");
    path_ = std::getenv("PATH");
    ::setenv("PATH", bin().c_str(), 1);
    const std::string tools = "PATH=/usr/bin:/bin\n";
    write_program(bin() / "sbatch", tools + "[[ $1 != --version ]] || exit 0\necho \"$@\" >>" + said("sbatch") + "\nn=$(wc -l <" +
                                        said("sbatch") +
                                        ")\n[[ $n -lt ${REFUSE_FROM:-99} ]] || { echo 'sbatch: error: invalid partition specified: nope' "
                                        ">&2; exit 1; }\necho $((40 + n))");
    write_program(bin() / "squeue", tools + "cat " + said("queue") + " 2>/dev/null");
    write_program(bin() / "scancel", "echo \"$@\" >>" + said("scancel"));
  }
  ~SubmitCommand() override {
    ::setenv("PATH", path_.c_str(), 1);
    ::unsetenv("REFUSE_FROM");
  }
  fs::path bin() const { return scratch_ / "bin"; }
  std::string said(const std::string& program) const { return (scratch_ / ("said-" + program)).string(); }
  fs::path run() const { return scratch_ / "runs/alpaca"; }
  int submit(std::vector<std::string> more = {}) {
    more.insert(more.begin(), recipe_);
    return herd(more);
  }
  nlohmann::json record(const std::string& name = "alpaca") const {
    return nlohmann::json::parse(read_file(scratch_ / "runs" / name / "job.json"));
  }

  std::string recipe_, path_;
};

TEST_F(SubmitCommand, ADryRunShowsAndTouchesNothing) {
  fs::remove_all(bin());  // nor does it need SLURM
  ASSERT_EQ(submit({"--dry-run", "--nodes", "2", "--time", "60"}), 0) << err_;
  EXPECT_THAT(out_, AllOf(HasSubstr("#SBATCH --nodes=2\n"), HasSubstr("#SBATCH --time=60\n"), HasSubstr("mpirun -n 2 ")));
  EXPECT_FALSE(fs::exists(scratch_ / "runs"));
}

TEST_F(SubmitCommand, QueuesAndRecords) {
  ASSERT_EQ(submit({"--then", "merge", "--then", "evaluate --task t --data d", "train.epochs=7"}), 0) << err_;
  EXPECT_EQ(out_,
            "job 41: " + run().string() + "\njob 42: merge, when job 41 has ended well\njob 43: evaluate, when job 42 has ended well\n");
  EXPECT_EQ(read_file(said("sbatch")),
            fmt::format("--parsable {0}/train.sbatch\n--parsable --dependency=afterok:41 --kill-on-invalid-dep=yes {0}/merge.sbatch\n"
                        "--parsable --dependency=afterok:42 --kill-on-invalid-dep=yes {0}/evaluate.sbatch\n",
                        run().string()));
  EXPECT_EQ(record().at("job"), "41");
  EXPECT_EQ(record().at("stages").at(1).at("job"), "43");
  EXPECT_THAT(read_file(run() / "submitted.yaml"), AllOf(HasSubstr("epochs: 7"), HasSubstr("name: alpaca")));
  // Again, while it waits, runs, and afterwards.
  write_file_atomically(said("queue"), "41|PENDING|Resources\n");
  EXPECT_EQ(submit(), 1);
  EXPECT_THAT(err_, AllOf(HasSubstr("job 41 is queued for it (PENDING)"), HasSubstr("scancel 41")));
  fs::remove(said("queue"));
  {
    const RunLock lock{RunFolder(run())};
    EXPECT_EQ(submit(), 1);
    EXPECT_THAT(err_, HasSubstr("in use by another run (host "));
  }
  make_folder(run() / "adapter");
  EXPECT_EQ(submit(), 1);
  EXPECT_THAT(err_, HasSubstr("what an earlier run left there (adapter)"));
  EXPECT_EQ(submit({"resume=auto"}), 0) << err_;
  EXPECT_EQ(record().at("job"), "44");
}

TEST_F(SubmitCommand, AnArrayIsARunForEachIndex) {
  ASSERT_EQ(submit({"--array", "1,3", "train.seed=%a"}), 0) << err_;
  EXPECT_EQ(record("alpaca-3").at("job"), "41_3");
  EXPECT_THAT(read_file(scratch_ / "runs/alpaca-1/submitted.yaml"), AllOf(HasSubstr("seed: 1 "), HasSubstr("name: alpaca-1")));
  EXPECT_THAT(read_file(scratch_ / "runs/alpaca-3/submitted.yaml"), HasSubstr("seed: 3 "));
  EXPECT_EQ(submit({"--array", "1", "--then", "merge", "run.name=b"}), 2);
}

TEST_F(SubmitCommand, WhatSbatchRefusesLeavesNothing) {
  ::setenv("REFUSE_FROM", "1", 1);
  EXPECT_EQ(submit({"--partition", "nope"}), 1);
  EXPECT_THAT(err_, HasSubstr("invalid partition specified: nope"));
  EXPECT_FALSE(fs::exists(scratch_ / "runs"));
  ::setenv("REFUSE_FROM", "3", 1);
  EXPECT_EQ(submit({"--then", "merge"}), 1);  // the stage alone
  EXPECT_EQ(read_file(said("scancel")), "42\n");
  EXPECT_FALSE(fs::exists(scratch_ / "runs"));
  // A run that is gone on with keeps what it had.
  ::unsetenv("REFUSE_FROM");
  ASSERT_EQ(submit(), 0) << err_;
  const auto before = read_file(run() / "train.sbatch");
  ::setenv("REFUSE_FROM", "1", 1);
  EXPECT_EQ(submit({"resume=auto", "--nodes", "9"}), 1);
  EXPECT_EQ(read_file(run() / "train.sbatch"), before);
  EXPECT_EQ(record().at("job"), "44");
}

TEST_F(SubmitCommand, RefusesBeforeAnythingIsQueued) {
  const auto refused = [&](const std::vector<std::string>& arguments) {
    EXPECT_EQ(submit(arguments), 2) << testing::PrintToString(arguments);
    return err_;
  };
  EXPECT_THAT(refused({"--time", "soon"}), HasSubstr("--time soon: no time"));
  EXPECT_THAT(refused({"--time", "5:00"}), HasSubstr("more than the site's signal_s, 300 s"));
  EXPECT_THAT(refused({"train.epoch=1"}), HasSubstr("did you mean 'train.epochs'?"));
  EXPECT_THAT(refused({"data.sets=[]"}), HasSubstr("'data.sets' is empty"));
  EXPECT_THAT(refused({"--nodes", "0"}), HasSubstr("--nodes"));
  EXPECT_THAT(refused({"--nodes", "3", "--ranks-per-node", "2", "parallel.strategy=hsdp", "parallel.shard_degree=4"}),
              AllOf(HasSubstr("3 nodes of 2 ranks: 6 ranks"), HasSubstr("a multiple of parallel.shard_degree=4")));
  EXPECT_THAT(refused({"--gpus-per-node", "8"}), HasSubstr("model.device=cpu"));
  EXPECT_THAT(refused({"model.device=cuda"}), HasSubstr("no --gpus-per-node"));
  EXPECT_THAT(refused({"model.device=cuda", "--gpus-per-node", "2", "--ranks-per-node", "4"}), HasSubstr("--ranks-per-node 4"));
  EXPECT_THAT(refused({"--after", "yesterday"}), HasSubstr("no job's number"));
  EXPECT_THAT(refused({"--array", "1-"}), HasSubstr("no list of indices"));
  EXPECT_THAT(refused({"--site", "nowhere"}), HasSubstr("no such file, and no such name"));
  fs::remove_all(bin());
  EXPECT_THAT(refused({}), AllOf(HasSubstr("sbatch: no such program"), HasSubstr("--dry-run")));
  EXPECT_FALSE(fs::exists(said("sbatch")));
  EXPECT_FALSE(fs::exists(scratch_ / "runs"));
}

}  // namespace
}  // namespace herd
