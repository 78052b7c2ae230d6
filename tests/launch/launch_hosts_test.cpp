// Hosts as a user, a file or SLURM names them, and where ranks go on them.
#include <gtest/gtest.h>

#include "launch/launcher/hosts.h"
#include "runtime/base/error.h"
#include "runtime/base/file.h"
#include "runtime/base/process.h"
#include "tests/support/errors.h"
#include "tests/support/scratch.h"

namespace herd::test {
namespace {

TEST(Hosts, AreReadFromTheCommandLine) {
  EXPECT_EQ(parse_hosts("a:8,b,10.0.0.3:2"), (Hosts{{"a", 8}, {"b", 1}, {"10.0.0.3", 2}}));
  EXPECT_EQ(parse_hosts("a,b,a"), (Hosts{{"a", 2}, {"b", 1}}));
  EXPECT_EQ(text(parse_hosts("a:8,b")), "a:8,b:1");
  for (const auto* bad : {"", ",", "a:0", "a:-1", "a:x", "a:", ":8", "a:8x", "-oProxyCommand=x", "a b", "a:99999999999"})
    EXPECT_NE(message_of<ConfigError>([&] { parse_hosts(bad); }), kNoError) << bad;
}

TEST(Hosts, AreReadFromAFile) {
  const Scratch scratch;
  const auto file = scratch / "hosts";
  write_file_atomically(file, "# ours\na slots=8\n\n  b:4  # half\nc\na slots=2\r\n");
  EXPECT_EQ(read_hostfile(file), (Hosts{{"a", 10}, {"b", 4}, {"c", 1}}));
  write_file_atomically(file, "a slots=8\nb max_slots=4\n");
  EXPECT_EQ(message_of<ConfigError>([&] { read_hostfile(file); }), file.string() + ":2: 'max_slots=4'; expected slots=NUMBER");
  write_file_atomically(file, "# none\n");
  EXPECT_NE(message_of<ConfigError>([&] { read_hostfile(file); }).find("no host"), std::string::npos);
  EXPECT_NE(message_of<IoError>([&] { read_hostfile(scratch / "missing"); }).find("missing"), std::string::npos);
}

TEST(Hosts, AreReadFromSlurm) {
  EXPECT_EQ(slurm_hosts("n[08-10,12],login", "8(x3),4,1"), (Hosts{{"n08", 8}, {"n09", 8}, {"n10", 8}, {"n12", 4}, {"login", 1}}));
  EXPECT_EQ(slurm_hosts("rack[1-2]n[1-2]", "2(x4)"), (Hosts{{"rack1n1", 2}, {"rack1n2", 2}, {"rack2n1", 2}, {"rack2n2", 2}}));
  EXPECT_EQ(slurm_hosts("one", "16"), (Hosts{{"one", 16}}));
  for (const auto& [nodes, tasks] : std::vector<std::pair<std::string, std::string>>{{"n[1-2]", "8"}, {"n[1-", "8"}, {"n[2-1]", "8"}, {"n1", "x"}, {"n1", "8(x"}, {"", ""}})
    EXPECT_NE(message_of<ConfigError>([&, n = nodes, t = tasks] { slurm_hosts(n, t); }), kNoError) << nodes << " " << tasks;
}

TEST(Hosts, KnowThisMachine) {
  EXPECT_TRUE(is_here("localhost"));
  EXPECT_TRUE(is_here("127.0.0.1"));
  EXPECT_TRUE(is_here(host_name()));
  EXPECT_FALSE(is_here("203.0.113.7"));  // kept for documentation (RFC 5737)
  EXPECT_FALSE(is_here("elsewhere"));
}

TEST(Placing, FillsHostsInOrder) {
  const Hosts hosts{{"a", 8}, {"b", 8}, {"c", 4}};
  struct Case {
    int wanted;
    Spread spread;
    std::string placed;
  };
  for (const auto& [wanted, spread, placed] : std::vector<Case>{
           {20, {}, "a:8,b:8,c:4"},
           {10, {}, "a:8,b:2"},
           {99, {}, "a:8,b:8,c:4"},
           {20, {"zero3", 8}, "a:8,b:8,c:4"},   // the degree is hsdp's
           {20, {"hsdp", 8}, "a:8,b:8"},        // a multiple of 8
           {7, {"hsdp", 8}, ""},
           {20, {"hsdp", 0}, "a:8,b:8"},        // as many on each: 16, against 12 with c
           {12, {"hsdp", 0}, "a:4,b:4,c:4"},
           {2, {"hsdp", 0}, "a:1,b:1"},
           {1, {"hsdp", 0}, "a:1"},
           {0, {}, ""},
       })
    EXPECT_EQ(text(place_ranks(hosts, wanted, spread)), placed) << wanted << " " << spread.strategy << " " << spread.shard_degree;
}

TEST(Placing, GoesOnWithoutALostHost) {
  const Hosts hosts{{"a", 4}, {"b", 4}, {"spare", 4}};
  EXPECT_EQ(text(place_ranks(without(hosts, {"b"}), 8, {})), "a:4,spare:4");
  EXPECT_EQ(text(place_ranks(without(hosts, {"b", "spare"}), 8, {})), "a:4");
  EXPECT_EQ(text(place_ranks(without(hosts, {"a", "b", "spare"}), 8, {})), "");
}

}  // namespace
}  // namespace herd::test
