// What the doctor makes of what hosts tell, and of the times between them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "launch/launcher/doctor_links.h"
#include "launch/launcher/doctor_report.h"
#include "runtime/base/error.h"
#include "runtime/base/file.h"
#include "tests/support/errors.h"
#include "tests/support/scratch.h"

namespace herd::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

HostCard fit(const std::string& host) {
  return {.host = host, .first_rank = 0, .ranks = 1, .build = "b1", .libraries = {{"libmpi", "libmpi.so.40.30.4"}}, .folder_trouble = "", .clock_ahead_s = 0.01,
          .disk_bytes = 5ull << 30, .memory_bytes = 5ull << 30, .gpus = {{"H100", 40, 0}}, .gpu_trouble = ""};
}

std::vector<std::string> told(const std::vector<HostCard>& cards) {
  std::vector<std::string> texts;
  for (const auto& finding : examine(cards, {})) texts.push_back(finding.text());
  return texts;
}

TEST(Doctor, FindsNothingOfHostsThatAreFit) { EXPECT_THAT(told({fit("a"), fit("b")}), IsEmpty()); }

TEST(Doctor, NamesTheHostAndWhatItHas) {
  struct Case {
    std::function<void(HostCard&)> change;
    std::string found;
  };
  for (const auto& [change, found] : std::vector<Case>{
           {[](auto& c) { c.build = "b2"; }, "b: herd's build b2; expected b1, as a has it"},
           {[](auto& c) { c.libraries["libmpi"] = "libmpi.so.40.20"; }, "b: libmpi.so.40.20; expected libmpi.so.40.30.4, as a loads it"},
           {[](auto& c) { c.libraries.clear(); }, "b: no libmpi;"},
           {[](auto& c) { c.folder_trouble = "nothing of what rank 0 wrote"; }, "b: nothing of what rank 0 wrote;"},
           {[](auto& c) { c.clock_ahead_s = -3.25; }, "b: a clock 3.2 s behind that of a; expected at most 1 s"},
           {[](auto& c) { c.disk_bytes = 1 << 20; }, "b: 0.0 GiB free where runs are kept; expected at least 1 GiB"},
           {[](auto& c) { c.memory_bytes = 1 << 29; }, "b: 0.5 GiB of memory free; expected at least 1 GiB"},
           {[](auto& c) { c.gpus.clear(); }, "b: 0 GPUs; expected 1, as other hosts have"},
           {[](auto& c) { c.gpu_trouble = "Unable to determine the device handle"; }, "b: nvidia-smi: Unable to"},
           {[](auto& c) { c.gpus[0].uncorrected = 2; }, "b: GPU 0 (H100): 2 ECC errors"},
           {[](auto& c) { c.gpus[0].celsius = 93; }, "b: GPU 0 (H100): 93 degrees"},
       }) {
    auto b = fit("b");
    change(b);
    EXPECT_THAT(told({fit("a"), b}), ElementsAre(HasSubstr(found)));
  }
}

TEST(Doctor, ReadsCardsBack) {
  auto card = fit("a");
  card.gpu_trouble = "x";
  const auto back = host_card_from(to_json(card));
  EXPECT_EQ(to_json(back), to_json(card));
  EXPECT_EQ(back.disk_bytes, card.disk_bytes);
  EXPECT_EQ(back.gpus.at(0).name, "H100");
}

TEST(Doctor, ReadsGpus) {
  const auto gpus = parse_gpus("NVIDIA H100 80GB HBM3, 34, 0\nTesla T4, with a comma, 51, [N/A]\nNo devices\n");
  ASSERT_EQ(gpus.size(), 2u);
  EXPECT_EQ(gpus[0].name, "NVIDIA H100 80GB HBM3");
  EXPECT_EQ(gpus[0].celsius, 34);
  EXPECT_EQ(gpus[0].uncorrected, 0);
  EXPECT_EQ(gpus[1].name, "Tesla T4, with a comma");
  EXPECT_EQ(gpus[1].celsius, 51);
  EXPECT_EQ(gpus[1].uncorrected, -1);
}

// Every two of n hosts a, b, …, each `factor` times the usual.
std::vector<LinkTime> mesh(int hosts, double usual, const std::function<double(int, int)>& factor) {
  std::vector<LinkTime> times;
  for (int a = 0; a < hosts; ++a)
    for (int b = a + 1; b < hosts; ++b) times.push_back({std::string(1, static_cast<char>('a' + a)), std::string(1, static_cast<char>('a' + b)), usual * factor(a, b)});
  return times;
}

TEST(Links, AreFineWhereTheyAreAlike) {
  EXPECT_THAT(judge_links(mesh(4, 0.01, [](int a, int b) { return 1 + 0.1 * (a + b); }), {}, 2).findings, IsEmpty());
  EXPECT_THAT(judge_links({}, {}, 2).findings, IsEmpty());
  EXPECT_THAT(judge_links({{"a", "b", 5}}, {}, 2).findings, IsEmpty());  // with nothing to hold it against
  EXPECT_THAT(judge_links(mesh(3, 1e-5, [](int a, int) { return a ? 1 : 40; }), {}, 2).findings, IsEmpty());  // less than a millisecond is noise
}

TEST(Links, NameASlowHost) {
  for (int hosts = 3; hosts <= 8; ++hosts)
    for (int slow = 0; slow < hosts; ++slow) {
      const auto judged = judge_links(mesh(hosts, 0.01, [&](int a, int b) { return a == slow || b == slow ? 4 : 1; }), {}, 2);
      EXPECT_THAT(judged.slow_hosts, ElementsAre(std::string(1, static_cast<char>('a' + slow)))) << hosts;
      EXPECT_EQ(judged.findings.size(), 1u);
    }
}

TEST(Links, NameTwoSlowHosts) {
  for (int hosts = 5; hosts <= 8; ++hosts) {  // two of four make five of six links slow: without a baseline nothing says which is usual
    const auto judged = judge_links(mesh(hosts, 0.01, [](int a, int b) { return (a < 2 ? 4 : 1) * (b < 2 ? 1.5 : 1); }), {}, 2);
    EXPECT_THAT(judged.slow_hosts, testing::UnorderedElementsAre("a", "b")) << hosts;
    EXPECT_EQ(judged.findings.size(), 2u);
  }
}

TEST(Links, NameASlowHostWhereAllAreSlower) {
  const Baseline before{{"a b", 0.002}, {"a c", 0.002}, {"b c", 0.002}};
  const auto judged = judge_links({{"a", "b", 0.02}, {"a", "c", 0.5}, {"b", "c", 0.6}}, before, 2);
  EXPECT_THAT(judged.slow_hosts, ElementsAre("c"));
  ASSERT_EQ(judged.findings.size(), 2u);
  EXPECT_EQ(judged.findings[0].text().substr(0, 83), "c: up to 600.0 ms for an all-reduce, over 2 of its links; expected some 2.0 ms\n    ");
  EXPECT_EQ(judged.findings[1].host, "between a and b");
}

TEST(Links, NameASlowLink) {
  const auto judged = judge_links(mesh(5, 0.01, [](int a, int b) { return a == 1 && b == 3 ? 4 : 1; }), {}, 2);
  EXPECT_THAT(judged.slow_hosts, IsEmpty());
  ASSERT_EQ(judged.findings.size(), 1u);
  EXPECT_EQ(judged.findings[0].host, "between b and d");
  EXPECT_EQ(judged.findings[0].found, "40.0 ms for an all-reduce");
}

TEST(Links, AreHeldAgainstTheirBaseline) {
  const std::vector<LinkTime> times{{"a", "b", 0.03}, {"a", "a", 0.03}};
  EXPECT_THAT(judge_links(times, {{"a b", 0.02}, {"inside a", 0.02}}, 2).findings, IsEmpty());
  const auto judged = judge_links(times, {{"a b", 0.01}, {"inside a", 0.01}}, 2).findings;
  ASSERT_EQ(judged.size(), 2u);
  EXPECT_EQ(judged[0].host, "between a and b");
  EXPECT_EQ(judged[1].host, "inside a");
  // All are slow since the baseline: none of them could be told by the others.
  const auto all = judge_links(mesh(3, 0.1, [](int, int) { return 1; }), {{"a b", 0.01}, {"a c", 0.01}, {"b c", 0.01}}, 2);
  EXPECT_THAT(all.slow_hosts, IsEmpty());
  EXPECT_EQ(all.findings.size(), 3u);
}

TEST(LinkBaseline, IsStoredOnceAndReadBack) {
  const Scratch scratch;
  const auto file = scratch / "runs/doctor-baseline.json";
  EXPECT_TRUE(read_baseline(file, 1024).empty());
  store_baseline(file, 1024, {{"a", "b", 0.5}}, false);
  store_baseline(file, 1024, {{"a", "b", 0.9}, {"a", "a", 0.25}}, false);
  EXPECT_EQ(read_baseline(file, 1024), (Baseline{{"a b", 0.5}, {"inside a", 0.25}}));
  EXPECT_TRUE(read_baseline(file, 4096).empty());
  store_baseline(file, 1024, {{"a", "b", 0.9}}, true);
  EXPECT_EQ(read_baseline(file, 1024), (Baseline{{"a b", 0.9}}));
  write_file_atomically(file, "{\"1024\": {\"a b\"");
  EXPECT_THAT(message_of<IoError>([&] { read_baseline(file, 1024); }), HasSubstr("remove it"));
  write_file_atomically(file, "{\"1024\": {\"a b\": \"fast\"}}");
  EXPECT_THAT(message_of<IoError>([&] { read_baseline(file, 1024); }), HasSubstr("seconds by link"));
}

}  // namespace
}  // namespace herd::test
