// The ground floor: text, errors, tables, files, signals.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <future>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "runtime/base/affinity.h"
#include "runtime/base/error.h"
#include "runtime/base/exit_codes.h"
#include "runtime/base/file.h"
#include "runtime/base/new_folder.h"
#include "runtime/base/launcher.h"
#include "runtime/base/process.h"
#include "runtime/base/registry.h"
#include "runtime/base/signals.h"
#include "runtime/base/text.h"
#include "tests/support/errors.h"
#include "tests/support/scratch.h"

namespace herd {
namespace {

namespace fs = std::filesystem;
using test::message_of;
using test::Scratch;
using testing::AllOf;
using testing::HasSubstr;

// ---- text

TEST(EditDistance, EqualsTextbookValues) {
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3u);
  EXPECT_EQ(edit_distance("saturday", "sunday"), 3u);
  EXPECT_EQ(edit_distance("", "abc"), 3u);
  EXPECT_EQ(edit_distance("abc", ""), 3u);
  EXPECT_EQ(edit_distance("same", "same"), 0u);
  EXPECT_EQ(edit_distance("alhpa", "alpha"), 1u) << "a transposition is one slip";
  EXPECT_EQ(edit_distance("ca", "abc"), 3u) << "optimal string alignment edits no substring twice (Damerau's full distance is 2)";
}

TEST(Nearest, FindsSlipsAndNothingElse) {
  const std::vector<std::string> names{"learning_rate", "epochs", "warmup"};
  EXPECT_EQ(nearest("lerning_rate", names), "learning_rate");
  EXPECT_EQ(nearest("epoch", names), "epochs");
  EXPECT_EQ(nearest("bananas", names), "");
  EXPECT_EQ(nearest("nope", std::vector<std::string>{"type", "nose"}), "nose");
  EXPECT_EQ(nearest("nope", std::vector<std::string>{"type"}), "") << "half of a short word is another word";
  EXPECT_EQ(nearest("epochs", std::vector<std::string>{}), "");
}

TEST(Text, JoinsAndCounts) {
  EXPECT_EQ(join(std::vector<std::string>{"a", "b", "c"}), "a, b, c");
  EXPECT_EQ(join(std::vector<std::string>{}), "");
  EXPECT_EQ(with_thousands(0), "0");
  EXPECT_EQ(with_thousands(999), "999");
  EXPECT_EQ(with_thousands(1000), "1,000");
  EXPECT_EQ(with_thousands(-1234567), "-1,234,567");
  EXPECT_EQ(with_thousands(-123), "-123");
  EXPECT_EQ(with_thousands(INT64_MAX), "9,223,372,036,854,775,807");
}

TEST(Text, BytesInBinaryUnits) {
  EXPECT_EQ(human_bytes(0), "0 B");
  EXPECT_EQ(human_bytes(1023), "1023 B");
  EXPECT_EQ(human_bytes(1024), "1 KiB");
  EXPECT_EQ(human_bytes(1536), "1.5 KiB");
  EXPECT_EQ(human_bytes(3ull << 30), "3 GiB");
  EXPECT_EQ(human_bytes(1000ull << 20), "1000 MiB") << "four digits rather than 1e+03";
  EXPECT_EQ(human_bytes(1ull << 60), "1024 PiB");
}

TEST(Fingerprint, EqualsThePublishedHashOfNothing) {
  EXPECT_EQ(fingerprint(""), "99aa06d3014798d86001c324468d497f");  // XXH3_128bits of the empty input, seed 0
  EXPECT_NE(fingerprint("a"), fingerprint("b"));
}

// ---- errors and tables

TEST(Error, SaysWhoFoundExpectedAndRemedy) {
  const DataError error({.who = "train.json:7", .found = "no 'output'", .expected = "a record", .remedy = "mend the record"});
  EXPECT_STREQ(error.what(), "train.json:7: no 'output'; expected a record\n       mend the record");
  EXPECT_STREQ(IoError({.who = "x", .found = "gone", .expected = "", .remedy = ""}).what(), "x: gone");
  EXPECT_EQ(error.complaint().who, "train.json:7");
}

TEST(Table, KeepsOrderAndNamesTheNearest) {
  const Table<int> table("schedule", {{"constant", 1}, {"linear", 2}, {"cosine", 3}});
  EXPECT_EQ(table.at("linear"), 2);
  EXPECT_EQ(table.find("none"), nullptr);
  EXPECT_EQ(table.names(), (std::vector<std::string>{"constant", "linear", "cosine"}));
  EXPECT_THAT(message_of<ConfigError>([&] { table.at("cosin"); }),
              AllOf(HasSubstr("schedule 'cosin'"), HasSubstr("constant, linear, cosine"), HasSubstr("did you mean 'cosine'?")));
  EXPECT_THAT(message_of<ConfigError>([&] { table.at("zzzzzzzz"); }), testing::Not(HasSubstr("did you mean")));
}

// ---- files

TEST(File, WritesWholeFilesAndLeavesNothingElse) {
  Scratch scratch;
  const auto path = scratch / "a.bin";
  const std::string bytes("one\0two\n", 8), longer(300000, 'x');
  write_file_atomically(path, bytes);
  EXPECT_EQ(read_file(path), bytes);
  write_file_atomically(path, longer);
  EXPECT_EQ(read_file(path), longer);
  write_file_atomically(path, "");
  EXPECT_EQ(read_file(path), "");
  EXPECT_EQ(std::distance(fs::directory_iterator(scratch.path()), {}), 1) << "no neighbour stays behind";
}

TEST(NewFolder, TakesItsPlaceWholeOrNotAtAll) {
  const Scratch scratch;
  const auto place = scratch / "a/result";
  const auto write = [&](NewFolder::Place state, const std::string& text, bool commit) {
    const NewFolder fresh(place, state);
    write_file_atomically(fresh.path() / text, text);
    if (commit) fresh.commit();
  };
  const auto names = [](const std::filesystem::path& folder) {
    std::vector<std::string> all;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) all.push_back(entry.path().filename());
    return all;
  };
  write(NewFolder::Place::kFree, "lost", false);
  EXPECT_THAT(names(scratch / "a"), testing::IsEmpty());
  write(NewFolder::Place::kFree, "first", true);
  EXPECT_THAT(names(place), testing::ElementsAre("first"));
  EXPECT_THROW(write(NewFolder::Place::kFree, "second", true), IoError);
  write(NewFolder::Place::kAnything, "third", false);
  EXPECT_THAT(names(place), testing::ElementsAre("first"));
  write(NewFolder::Place::kAnything, "fourth", true);
  EXPECT_THAT(names(place), testing::ElementsAre("fourth"));
  EXPECT_THAT(names(scratch / "a"), testing::ElementsAre("result")) << "nothing is left beside it";
}

// Runs `f`, which kills itself, in a process of its own. @return its id.
template <class F>
pid_t in_a_process(F f) {
  const auto child = fork();
  if (child == 0) f();
  waitpid(child, nullptr, 0);
  return child;
}

TEST(NewFolder, RemovesWhatAKilledWriterLeftAtItsPlaceAndNothingElse) {
  const Scratch scratch;
  const auto place = scratch / "result";
  const auto child = in_a_process([&] {
    const NewFolder fresh(place, NewFolder::Place::kFree);
    write_file_atomically(fresh.path() / "part", "x");
    kill(getpid(), SIGKILL);  // while the folder is there
  });
  ASSERT_EQ(std::distance(fs::directory_iterator(scratch.path()), {}), 1);
  const auto left = fs::directory_iterator(scratch.path())->path();
  const auto with = [&](const std::string& part, const std::string& other) {
    auto name = left.filename().string();
    const auto at = name.find(part);
    EXPECT_NE(at, std::string::npos) << name << " without " << part;
    return scratch / (at == std::string::npos ? name + other : name.replace(at, part.size(), other));
  };
  const auto others = {with("result", "results"), with(host_name(), "elsewhere"), with("-" + std::to_string(child), "-" + std::to_string(getppid())),
                       with("-" + std::to_string(child), "-notes"), with("-" + std::to_string(child), "-99999999999")};
  for (const auto& other : others) fs::create_directory(other);
  const NewFolder fresh(place, NewFolder::Place::kFree);
  EXPECT_FALSE(fs::exists(left));
  for (const auto& other : others) EXPECT_TRUE(fs::exists(other)) << other;
}

TEST(NewFolder, PutsBackWhatAKilledWriterHadMovedAside) {
  const Scratch scratch;
  const auto place = scratch / "result";
  in_a_process([&] {  // as commit() goes where a file system cannot exchange two names
    const NewFolder fresh(place, NewFolder::Place::kAnything);
    const fs::path old = fresh.path().string() + "-old";
    fs::create_directory(old);
    write_file_atomically(old / "kept", "x");
    kill(getpid(), SIGKILL);
  });
  { const NewFolder fresh(place, NewFolder::Place::kAnything); }
  EXPECT_TRUE(fs::exists(place / "kept"));
  EXPECT_EQ(std::distance(fs::directory_iterator(scratch.path()), {}), 1);
}

TEST(File, ReadsFilesThatClaimNoSize) { EXPECT_THAT(read_file("/proc/self/status"), HasSubstr("VmRSS:")); }

TEST(File, AppendsBehindWhatIsThere) {
  Scratch scratch;
  File(scratch / "log", File::Mode::append).write("one\n");
  File(scratch / "log", File::Mode::append).write("two\n");
  EXPECT_EQ(read_file(scratch / "log"), "one\ntwo\n");
}

TEST(File, ErrorsNameThePathAndTheReason) {
  Scratch scratch;
  EXPECT_THAT(message_of<IoError>([&] { read_file(scratch / "none"); }), AllOf(HasSubstr("/none"), HasSubstr("No such file")));
  EXPECT_THAT(message_of<IoError>([&] { read_file(scratch.path()); }), HasSubstr("Is a directory"));
  EXPECT_THAT(message_of<IoError>([&] { write_file_atomically(scratch / "no/folder", "x"); }), HasSubstr("No such file"));
  write_file_atomically(scratch / "plain", "x");
  EXPECT_THAT(message_of<IoError>([&] { make_folder(scratch / "plain"); }), HasSubstr("Not a directory"));
  EXPECT_THAT(message_of<IoError>([&] { make_folder(scratch / "plain/below"); }), HasSubstr("Not a directory"));
  EXPECT_NO_THROW(make_folder(scratch / "a/b/c"));
  EXPECT_NO_THROW(make_folder(scratch / "a/b/c"));
}

TEST(File, RefusesWithoutRights) {
  Scratch scratch;
  chmod(scratch.path().c_str(), 0555);
  const auto user = geteuid();
  const auto someone = user == 0 ? 65534 : user;  // root may write everywhere
  ASSERT_EQ(seteuid(someone), 0);
  const auto message = message_of<IoError>([&] { write_file_atomically(scratch / "x", "x"); });
  ASSERT_EQ(seteuid(user), 0);
  chmod(scratch.path().c_str(), 0755);
  EXPECT_THAT(message, AllOf(HasSubstr("/x: "), HasSubstr("Permission denied"), HasSubstr("rights")));
}

TEST(File, FullDeviceIsAnError) {
  File full("/dev/full", File::Mode::append);
  EXPECT_THAT(message_of<IoError>([&] { full.write("x"); }), AllOf(HasSubstr("/dev/full"), HasSubstr("No space left")));
}

TEST(File, FullDiskKeepsTheOldFile) {
  Scratch scratch;
  if (mount("tmpfs", scratch.path().c_str(), "tmpfs", 0, "size=64k") != 0) GTEST_SKIP() << "mounting a small disk needs root";
  write_file_atomically(scratch / "state", "old");
  const auto message = message_of<IoError>([&] { write_file_atomically(scratch / "state", std::string(1 << 20, 'x')); });
  const auto kept = read_file(scratch / "state");
  const auto files = std::distance(fs::directory_iterator(scratch.path()), {});
  umount(scratch.path().c_str());
  EXPECT_THAT(message, AllOf(HasSubstr("/state: "), HasSubstr("No space left"), HasSubstr("free space"), HasSubstr("of 64 KiB")));
  EXPECT_EQ(kept, "old");
  EXPECT_EQ(files, 1);
}

// ---- the process

TEST(Process, MemoryGrowsWithUse) {
  const auto before = process_memory();
  const std::vector<char> held(64 << 20, 'x');
  const auto after = process_memory();
  EXPECT_GE(after.resident, before.resident + (60 << 20)) << held[7];
  EXPECT_GE(after.peak, after.resident);
}

TEST(Process, TimeSortsAsText) {
  const auto first = utc_now(), second = utc_now();
  EXPECT_EQ(first.size(), std::string("2026-11-21T01:18:05.123456789Z").size());
  EXPECT_LT(first, second);
}

// ---- signals

// Runs `body` in a child, so that it may end; gives its exit code and what it wrote to stderr.
std::pair<int, std::string> in_child(const std::function<int()>& body) {
  int ends[2];
  EXPECT_EQ(pipe(ends), 0);
  const pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], STDERR_FILENO);
    _exit(body());
  }
  close(ends[1]);
  std::string text;
  char buffer[256];
  for (ssize_t count; (count = read(ends[0], buffer, sizeof buffer)) > 0;) text.append(buffer, static_cast<std::size_t>(count));
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status), text};
}

// As mpirun and srun leave it, and nothing else.
void pretend_launcher(const std::vector<std::pair<const char*, const char*>>& variables) {
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK", "PMI_SIZE", "SLURM_STEP_ID", "SLURM_STEP_NUM_TASKS", "SLURM_PROCID"})
    unsetenv(name);
  for (const auto& [name, value] : variables) setenv(name, value, 1);
}

TEST(Launcher, IsReadFromTheEnvironment) {
  const auto [code, text] = in_child([] {
    auto told = [](auto variables) {
      pretend_launcher(variables);
      const auto found = launcher();
      return found.name + " " + std::to_string(found.ranks) + (found.connects_ranks ? " connected" : "");
    };
    using Variables = std::vector<std::pair<const char*, const char*>>;
    if (told(Variables{}) != " 1") return 1;
    if (told(Variables{{"SLURM_PROCID", "0"}}) != " 1") return 2;  // a batch script
    if (told(Variables{{"OMPI_COMM_WORLD_SIZE", "3"}, {"SLURM_STEP_ID", "0"}, {"SLURM_STEP_NUM_TASKS", "2"}}) != "mpirun 3 connected") return 3;
    if (told(Variables{{"SLURM_STEP_ID", "0"}, {"SLURM_STEP_NUM_TASKS", "4"}, {"PMIX_RANK", "1"}}) != "srun 4 connected") return 4;
    if (told(Variables{{"SLURM_STEP_ID", "0"}, {"SLURM_STEP_NUM_TASKS", "4"}}) != "srun 4") return 5;
    if (told(Variables{{"PMI_RANK", "1"}, {"PMI_SIZE", "2"}}) != "PMI 2 connected") return 6;
    return 0;
  });
  EXPECT_EQ(code, 0) << text;
}

// What narrows: mpirun's default binding, acted out on this process.
void bind_to_one_cpu() {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(sched_getcpu(), &one);
  sched_setaffinity(0, sizeof one, &one);
}

TEST(Affinity, ABindingByMpirunIsWidenedForEveryThread) {
  if (usable_cpus() < 2) GTEST_SKIP() << "needs two CPUs";
  const auto [code, text] = in_child([] {
    const int all = usable_cpus();
    bind_to_one_cpu();
    std::promise<int> seen;
    std::promise<void> widened;
    std::thread other([&] {  // inherits the binding
      widened.get_future().wait();
      seen.set_value(usable_cpus());
    });
    pretend_launcher({{"OMPI_COMM_WORLD_SIZE", "2"}});
    ensure_cpus(1);
    const int untouched = usable_cpus();
    ensure_cpus(2);
    widened.set_value();
    other.join();
    return untouched == 1 && usable_cpus() == all && seen.get_future().get() == all ? 0 : 1;
  });
  EXPECT_EQ(code, 0);
  EXPECT_THAT(text, HasSubstr("was bound to 1 of the machine's CPUs"));
}

TEST(Affinity, ABindingThatStaysIsRefusedWithTheRemedy) {
  if (usable_cpus() < 2) GTEST_SKIP() << "needs two CPUs";
  const auto [code, text] = in_child([] {
    bind_to_one_cpu();
    auto said = [](auto variables, const char* remedy) {
      pretend_launcher(variables);
      const auto message = message_of<ConfigError>([] { ensure_cpus(2); });
      return message.find("a binding to 1 CPU") != message.npos && message.find(remedy) != message.npos && usable_cpus() == 1;
    };
    using Variables = std::vector<std::pair<const char*, const char*>>;
    if (!said(Variables{{"SLURM_STEP_ID", "0"}, {"SLURM_STEP_NUM_TASKS", "2"}}, "srun --cpus-per-task=2")) return 1;
    if (!said(Variables{}, "taskset")) return 2;
    // A system that forbids it: the call is refused from here on.
    sock_filter program[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
                             BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_sched_setaffinity, 0, 1),
                             BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    sock_fprog filter{std::size(program), program};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter)) return 0;  // not here
    return said(Variables{{"OMPI_COMM_WORLD_SIZE", "2"}}, "mpirun --bind-to none") ? 0 : 3;
  });
  EXPECT_EQ(code, 0) << text;
}

TEST(Affinity, AMachineWithFewerCpusIsNoBinding) {
  EXPECT_NO_THROW(ensure_cpus(usable_cpus()));
  if (usable_cpus() < sysconf(_SC_NPROCESSORS_ONLN)) GTEST_SKIP() << "this machine is bound already";
  EXPECT_NO_THROW(ensure_cpus(100'000));
}

TEST(Signals, RemembersTheFirst) {
  for (const auto& [number, signal] :
       {std::pair{SIGUSR1, Signal::preempt}, std::pair{SIGTERM, Signal::terminate}, std::pair{SIGINT, Signal::interrupt}}) {
    Signals signals;
    EXPECT_EQ(signals.pending(), Signal::none);
    raise(number);
    EXPECT_EQ(signals.pending(), signal);
    EXPECT_EQ(signals.pending(), signal) << "asking does not forget";
  }
}

TEST(Signals, SecondEndsAtOnceWithItsNumber) {
  for (const int second : {SIGUSR1, SIGTERM, SIGINT}) {
    const auto [code, text] = in_child([&] {
      Signals signals;
      raise(SIGTERM);
      std::this_thread::sleep_for(std::chrono::milliseconds(550));
      raise(second);
      return 0;
    });
    EXPECT_EQ(code, 128 + second);
    EXPECT_THAT(text, HasSubstr("second signal"));
  }
}

TEST(Signals, AnEchoOfTheFirstIsNoSecond) {
  Signals signals;
  raise(SIGTERM);
  std::this_thread::sleep_for(std::chrono::milliseconds(70));
  raise(SIGTERM);
  raise(SIGINT);
  EXPECT_EQ(signals.pending(), Signal::terminate);
}

TEST(Signals, FormerHandlersComeBack) {
  const auto [code, text] = in_child([] {
    { Signals signals; }
    raise(SIGTERM);
    return 0;
  });
  EXPECT_EQ(code, -SIGTERM) << "the default action ends the process";
}

TEST(Signals, OneObjectAtATime) {
  Signals first;
  EXPECT_THROW(Signals(), Error);
}

TEST(Signals, ExitCodesDiffer) {
  EXPECT_EQ(exit_code(Signal::preempt), 75);
  const std::set<int> codes{kExitSuccess, kExitFailure, kExitUsage, kExitPreempted, kExitTerminated, kExitInterrupted, 77};
  EXPECT_EQ(codes.size(), 7u) << "77 is the tests' own code for skipped";
}

}  // namespace
}  // namespace herd
