// mpirun: whose it is, its command line, and what it says.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "launch/launcher/fabric.h"
#include "launch/launcher/mpirun.h"
#include "launch/launcher/output_pipe.h"
#include "runtime/base/error.h"
#include "runtime/base/file.h"
#include "tests/support/errors.h"
#include "tests/support/scratch.h"

namespace herd::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsSupersetOf;
using testing::Not;

TEST(MpirunVersion, IsOpenMpi) {
  const auto four = parse_mpirun_version("mpirun", "mpirun (Open MPI) 4.1.4\n\nReport bugs to http://www.open-mpi.org/community/help/\n");
  EXPECT_EQ(four.major, 4);
  EXPECT_EQ(four.version, "4.1.4");
  EXPECT_EQ(parse_mpirun_version("mpirun", "mpirun (Open MPI) 5.0.3rc1\n").major, 5);
}

TEST(MpirunVersion, RefusesOthersByName) {
  const auto said = [](const std::string& version) { return message_of<ConfigError>([&] { parse_mpirun_version("/opt/bin/mpirun", version); }); };
  EXPECT_THAT(said("HYDRA build details:\n    Version:                                 4.0.2\n"), HasSubstr("MPICH"));
  EXPECT_THAT(said("Intel(R) MPI Library for Linux* OS, Version 2021.9 Build 20230307 (id: d82b3071db)\n"), HasSubstr("Intel MPI"));
  EXPECT_THAT(said("mpirun (Open MPI) 1.10.7\n"), HasSubstr("Open MPI 1.10.7"));
  EXPECT_THAT(said("what?\n"), HasSubstr("'what?'"));
  EXPECT_THAT(said(""), HasSubstr("--mpirun FILE"));
}

TEST(MpirunVersion, FitsTheLibrary) {
  const Mpirun four{.program = "mpirun", .major = 4, .version = "4.1.4"};
  check_mpirun_fits(four, "Open MPI v4.1.2, package: Debian OpenMPI, ident: 4.1.2");
  EXPECT_THAT(message_of<ConfigError>([&] { check_mpirun_fits(four, "Open MPI v5.0.1, package: x"); }), HasSubstr("5.0.1"));
  EXPECT_THAT(message_of<ConfigError>([&] { check_mpirun_fits(four, "MPICH Version: 4.0"); }), HasSubstr("MPICH"));
}

TEST(MpirunCommand, IsWrittenForOpenMpi4) {
  const MpirunRequest request{.mpirun = {.program = "mpirun", .major = 4, .version = "4.1.4"},
                              .placed = {{"a", 8}, {"b", 4}},
                              .passed = {"HF_HOME", "OMP_NUM_THREADS"},
                              .mca = {{"btl_tcp_if_include", "eth0"}},
                              .bind_to = "numa",
                              .map_by = "slot",
                              .more = {"--report-bindings"},
                              .as_root = true,
                              .program = {"/opt/herd", "train", "r.yaml"}};
  EXPECT_EQ(shell_text(mpirun_command(request)),
            "mpirun --allow-run-as-root --tag-output --bind-to numa --map-by slot --mca oob_tcp_keepalive_time 3 --mca oob_tcp_keepalive_intvl 1 "
            "--mca oob_tcp_keepalive_probes 3 --mca btl_tcp_if_include eth0 -x HF_HOME -x OMP_NUM_THREADS --host a:8,b:4 -n 12 --report-bindings /opt/herd train r.yaml");
}

TEST(MpirunCommand, HasOtherWordsForOpenMpi5) {
  const auto words = mpirun_command({.mpirun = {.program = "mpirun", .major = 5, .version = "5.0.3"}, .placed = {{"10.0.0.1", 1}}, .passed = {}, .mca = {}, .more = {}, .program = {"herd"}});
  EXPECT_THAT(words, IsSupersetOf({"--output", "tag", "--prtemca"}));
  EXPECT_THAT(words, Not(testing::Contains("--tag-output")));
  EXPECT_THAT(words, Not(testing::Contains("orte_keep_fqdn_hostnames")));
}

TEST(MpirunCommand, KeepsAddressesWhole) {
  const auto command = [](const std::string& host) {
    return mpirun_command({.mpirun = {}, .placed = {{host, 1}}, .passed = {}, .mca = {}, .more = {}, .program = {"herd"}});
  };
  EXPECT_THAT(command("10.0.0.1"), testing::Contains("orte_keep_fqdn_hostnames"));
  EXPECT_THAT(command("node1"), Not(testing::Contains("orte_keep_fqdn_hostnames")));
}

TEST(MpirunCommand, PassesNamesAndNoValues) {
  EXPECT_THAT(names_to_pass({"HF_TOKEN", "HERD_CONFIGS", "HOME", "LD_LIBRARY_PATH", "NCCL_DEBUG", "OMPI_COMM_WORLD_RANK", "OMP_NUM_THREADS", "PATH", "XHF_A"}),
              ElementsAre("HERD_CONFIGS", "HF_TOKEN", "LD_LIBRARY_PATH", "NCCL_DEBUG", "OMP_NUM_THREADS"));
}

TEST(ShellText, IsReadBackByAShell) {
  const std::vector<std::string> words{"printf", "%s|", "a b", "it's", "$HOME", "", "a\nb", "run.name=x", "*", "中文"};
  const auto read = capture({"sh", "-c", shell_text(words)}, 10);
  EXPECT_EQ(read.said, "a b|it's|$HOME||a\nb|run.name=x|*|中文|\n");
}

TEST(RankLines, HaveTheirTagTakenOff) {
  const auto parsed = [](std::string_view line, int major) {
    const auto told = parse_rank_line(line, major);
    return std::to_string(told.rank) + (told.to_stdout ? " out " : " err ") + std::string(told.text);
  };
  EXPECT_EQ(parsed("[1,12]<stdout>: two blanks", 4), "12 out  two blanks");
  EXPECT_EQ(parsed("[1,0]<stderr>:error: [1,2]<stdout>:x", 4), "0 err error: [1,2]<stdout>:x");
  EXPECT_EQ(parsed("[prterun-n1-77@1,3]<stdout>: text", 5), "3 out text");
  for (const auto* own : {"mpirun: lost", "", "[n1:123] x]<", "[1,x]<stdout>:y", "[1,2]<other>:y", "[1,2]stdout"})
    EXPECT_EQ(parsed(own, 4), "-1 err " + std::string(own));
}

TEST(LostHosts, AreReadFromWhatMpirunSays) {
  EXPECT_EQ(lost_host_told("  Remote daemon: [[41286,0],1] on node node2"), "node2");
  EXPECT_EQ(lost_host_told("ssh: connect to host 10.0.0.9 port 22: No route to host"), "10.0.0.9");
  EXPECT_EQ(lost_host_told("ssh: Could not resolve hostname nowhere: Name or service not known"), "nowhere");
  EXPECT_EQ(lost_host_told("  HNP daemon   : [[41286,0],0] on node node1"), "");
}

TEST(OutputPipe, GivesWholeLinesAndTheLast) {
  const auto said = capture({"sh", "-c", "printf 'a\\nb'; printf 'c\\nend' >&2; exit 3"}, 10);
  EXPECT_EQ(said.code, 3);
  EXPECT_EQ(said.said, "a\nbc\nend\n");
  EXPECT_FALSE(capture({"sleep", "60"}, 0.2).code);
}

TEST(Fabrics, OfTheInstallationAreRead) {
  const auto fabrics = read_fabrics(fabrics_folder());
  ASSERT_EQ(fabrics.size(), 3u);
  EXPECT_EQ(choose_fabric(fabrics, "auto", {}).name, "tcp");
  EXPECT_EQ(choose_fabric(fabrics, "auto", {"Ethernet"}).name, "roce");
  EXPECT_EQ(choose_fabric(fabrics, "auto", {"Ethernet", "InfiniBand"}).name, "infiniband");
  EXPECT_EQ(choose_fabric(fabrics, "tcp", {"InfiniBand"}).name, "tcp");
  EXPECT_THAT(message_of<ConfigError>([&] { choose_fabric(fabrics, "infinband", {}); }), HasSubstr("did you mean 'infiniband'?"));
}

TEST(Fabrics, AreToldByTheAdapters) {
  const Scratch scratch;
  for (const auto& [adapter, layer] : std::vector<std::pair<std::string, std::string>>{{"mlx5_0", "InfiniBand"}, {"mlx5_1", "Ethernet"}}) {
    make_folder(scratch / adapter / "ports/1");
    std::ofstream(scratch / adapter / "ports/1/link_layer") << layer << "\n";
  }
  EXPECT_EQ(link_layers(scratch.path()), (std::set<std::string>{"Ethernet", "InfiniBand"}));
  EXPECT_TRUE(link_layers(scratch / "none").empty());
}

TEST(Fabrics, RefuseWhatDoesNotFit) {
  const Scratch scratch;
  write_file_atomically(scratch / "own.yaml", "summary: x\nenvironment: [NCCL_DEBUG]\n");
  EXPECT_THAT(message_of<ConfigError>([&] { read_fabrics(scratch.path()); }), HasSubstr("NAME=VALUE"));
  write_file_atomically(scratch / "own.yaml", "enviroment: [A=1]\n");
  EXPECT_THAT(message_of<ConfigError>([&] { read_fabrics(scratch.path()); }), HasSubstr("did you mean 'environment'?"));
  EXPECT_THAT(message_of<ConfigError>([&] { read_fabrics(scratch / "none"); }), HasSubstr("no fabric"));
}

}  // namespace
}  // namespace herd::test
