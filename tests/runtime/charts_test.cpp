// Charts by their SVG, whose numbers follow from the counts; tables for terminals.
#include "runtime/report/charts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>

#include "runtime/report/text_table.h"

namespace herd {

void PrintTo(const Amount& amount, std::ostream* out) { *out << amount.name << " " << amount.count; }
bool operator==(const Amount& a, const Amount& b) { return a.name == b.name && a.count == b.count; }

namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;

/// Boxes of a series: left, top, right, bottom.
std::vector<std::array<double, 4>> boxes(const std::string& svg) {
  static const std::regex kBox(R"re(<path d="M([0-9.]+) ([0-9.]+)L[^L]*L([0-9.]+) ([0-9.]+)L[^L"]*Z" class="s[0-9]"/>)re");
  std::vector<std::array<double, 4>> out;
  for (std::sregex_iterator at(svg.begin(), svg.end(), kBox), end; at != end; ++at)
    out.push_back({std::stod((*at)[1]), std::stod((*at)[2]), std::stod((*at)[3]), std::stod((*at)[4])});
  return out;
}

TEST(Charts, TheGreatestComeFirstAndTheRestTogether) {
  const std::vector<Amount> amounts{{"b", 2}, {"a", 2}, {"c", 9}, {"d", 1}, {"e", 0}};
  EXPECT_THAT(greatest(amounts, 5), ElementsAre(Amount{"c", 9}, Amount{"a", 2}, Amount{"b", 2}, Amount{"d", 1}, Amount{"e", 0}));
  EXPECT_THAT(greatest(amounts, 3), ElementsAre(Amount{"c", 9}, Amount{"a", 2}, Amount{"other (3)", 3}));
}

TEST(Charts, BarsAreAsLongAsTheirCounts) {
  const auto drawn = boxes(bar_chart("t", {{"half", 50}, {"whole", 100}, {"none", 0}}).svg());
  ASSERT_THAT(drawn, SizeIs(2));
  const auto whole = drawn[0][2] - drawn[0][0];
  EXPECT_GT(whole, 400);
  EXPECT_NEAR(drawn[1][2] - drawn[1][0], whole / 2, 0.11);
}

TEST(Charts, PiesTellShares) {
  const auto svg = pie_chart("Sets", {{"three", 3}, {"one", 1}}).svg();
  EXPECT_THAT(svg, testing::AllOf(HasSubstr(">3 · 75.0 %<"), HasSubstr(">1 · 25.0 %<"), HasSubstr(">three<")));
  EXPECT_THAT(svg, HasSubstr("L14.0 128.0Z\" class=\"s0\""));  // three quarters from the top end at the left: (14, 40 + 88)
}

TEST(Charts, LengthsStandInTheirBins) {
  const auto svg = length_chart("t", {{1, 5}, {2, 10}, {4, 5}}, "tokens", {3, "cut 3"}).svg();
  const auto drawn = boxes(svg);
  ASSERT_THAT(drawn, SizeIs(3));
  const auto height = [&](std::size_t i) { return drawn[i][3] - drawn[i][1]; };
  EXPECT_NEAR(height(0), height(1) / 2, 0.11);
  EXPECT_NEAR(height(2), height(1) / 2, 0.11);
  const auto step = drawn[1][0] - drawn[0][0];
  EXPECT_NEAR(drawn[2][0] - drawn[1][0], 2 * step, 0.21);  // no length of 3
  std::smatch mark;
  ASSERT_TRUE(
      std::regex_search(svg, mark, std::regex(R"re(<path d="M([0-9.]+) [^"]*" stroke="currentColor" stroke-width="2" class="m")re")));
  EXPECT_NEAR(std::stod(mark[1]), drawn[2][0], 1);  // between the bin of 3 and that of 4
  EXPECT_THAT(svg, testing::AllOf(HasSubstr(">cut 3<"), HasSubstr(">length in tokens<")));
}

TEST(Charts, AFewLongOnesDoNotFlattenTheRest) {
  std::map<std::int64_t, std::int64_t> counts{{1'000'000, 1}};
  for (int i = 1; i <= 40; ++i) counts[i] = 100;
  const auto svg = length_chart("t", counts, "tokens").svg();
  EXPECT_THAT(boxes(svg), SizeIs(40));
  EXPECT_THAT(svg, HasSubstr("the last bar with all longer ones"));
}

TEST(Picture, WritesTextThatIsNoMarkup) {
  Picture picture(10, 10);
  picture.text({.text = "a<b>&\"'\n你"}, {0, 0});
  EXPECT_THAT(picture.svg(), HasSubstr(">a&lt;b&gt;&amp;&quot;&#39; 你</text>"));
  EXPECT_THAT(picture.svg(false), Not(HasSubstr("<style>")));
  EXPECT_THAT(picture.png(), testing::StartsWith("\x89PNG"));
}

TEST(Picture, ShortensByEstimate) {
  EXPECT_EQ(fitted({.text = "abc", .size = 10}, 100), "abc");
  EXPECT_EQ(fitted({.text = "你好你好", .size = 10}, 32), "你好…");  // a mark of omission counts as wide
}

TEST(TextTable, KeepsColumnsBesideChinese) {
  EXPECT_EQ(text_table({{"set", "n"}, {"中文", "10"}, {"a", "2"}}, "lr"), "set    n\n中文  10\na      2\n");
}

}  // namespace
}  // namespace herd
