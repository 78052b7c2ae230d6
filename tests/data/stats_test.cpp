// Statistics of small made sets, whose every number follows by hand.
#include "data/stats/stats.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "data/stats/stats_output.h"
#include "runtime/base/error.h"
#include "runtime/base/file.h"
#include "runtime/base/random.h"
#include "tests/data/toy_records.h"
#include "tests/data/toy_tokenizers.h"
#include "tests/support/errors.h"
#include "tests/support/scratch.h"

namespace herd {

void PrintTo(const CountedTerm& term, std::ostream* out) { *out << term.term << " " << term.count; }
void PrintTo(const MarkedRun& run, std::ostream* out) { *out << (run.learnt ? "learnt " : "") << run.text; }

namespace {

using Json = nlohmann::ordered_json;
using test::ByteTokenizer;
using test::line;
using test::message_of;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::Pair;
using testing::SizeIs;

TEST(Lengths, QuantilesAreNearestRanks) {
  Lengths lengths;
  for (const auto length : {10, 1, 2, 1}) lengths.add(length);
  EXPECT_EQ(lengths.mean(), 3.5);
  EXPECT_EQ(lengths.quantile(0.5), 1);
  EXPECT_EQ(lengths.quantile(0.51), 2);
  EXPECT_EQ(lengths.quantile(0.76), 10);
  EXPECT_EQ(lengths.longest(), 10);
  EXPECT_EQ(Lengths().quantile(0.5), 0);
}

TEST(TermCounter, LowersAllCountsWhenItIsFull) {
  TermCounter counter(2);
  for (const auto& [term, times] : {std::pair{"a", 5}, {"b", 3}, {"c", 1}, {"d", 1}}) counter.add(term, times);
  EXPECT_EQ(counter.error(), 0);
  EXPECT_THAT(counter.top(3), ElementsAre(CountedTerm{"a", 5}, CountedTerm{"b", 3}, CountedTerm{"c", 1}));
  counter.add("e");  // the fifth of at most four: the third greatest count, 1, is taken off all
  EXPECT_EQ(counter.error(), 1);
  EXPECT_EQ(counter.total(), 11);
  EXPECT_THAT(counter.top(9), ElementsAre(CountedTerm{"a", 4}, CountedTerm{"b", 2}));
}

TEST(TermCounter, KeepsItsBound) {
  constexpr std::size_t kCapacity = 50;
  TermCounter counter(kCapacity);
  std::map<std::string, std::int64_t> exact;
  Random random(1, 2);
  for (int i = 0; i < 50'000; ++i) {
    const auto term = std::to_string(1'000'000 / (1 + random.below(1'000'000)));  // few often, many once
    counter.add(term);
    ++exact[term];
    ASSERT_LE(counter.kept(), 2 * kCapacity);
  }
  ASSERT_GT(exact.size(), 4 * kCapacity);
  EXPECT_GT(counter.error(), 0);
  EXPECT_LE(counter.error(), 50'000 / static_cast<std::int64_t>(kCapacity));
  for (const auto& [term, count] : counter.top(kCapacity)) {
    EXPECT_LE(count, exact[term]) << term;
    EXPECT_GE(count + counter.error(), exact[term]) << term;
  }
}

std::vector<std::vector<std::string>> words(std::string_view text) {
  std::vector<std::vector<std::string>> out;
  for (const auto& stretch : terms_of(text)) {
    out.emplace_back();
    for (const auto& term : stretch) out.back().push_back(term.text);
  }
  return out;
}

TEST(Terms, AreWordsAndChineseCharacters) {
  EXPECT_THAT(words("Don’t STOP, 用Python写 a3! world's' 'x"),
              ElementsAre(ElementsAre("don't", "stop"), ElementsAre("用", "python", "写", "a3"), ElementsAre("world's"), ElementsAre("x")));
  EXPECT_THAT(words("one\ntwo  three-four École"),
              ElementsAre(ElementsAre("one"), ElementsAre("two", "three"), ElementsAre("four", "école")));
  EXPECT_THAT(words(" … ,\n"), SizeIs(0));
}

TEST(Ngrams, RunWithinAStretch) {
  NgramCounts counts;
  for (std::size_t n = 0; n < kLongestNgram; ++n) counts.add(terms_of("a b c, 你好 b c"), n);
  EXPECT_EQ(counts.by_length[0].total(), 7);
  EXPECT_THAT(counts.by_length[1].top(9),
              ElementsAre(CountedTerm{"b c", 2}, CountedTerm{"a b", 1}, CountedTerm{"你好", 1}, CountedTerm{"好b", 1}));
  EXPECT_THAT(counts.by_length[2].top(9), ElementsAre(CountedTerm{"a b c", 1}, CountedTerm{"你好b", 1}, CountedTerm{"好b c", 1}));
}

/// With the template belle_v1 and a token a byte, a record of q and a is <s>, `Human: q\n\nAssistant:` and ` a</s>`: 22 + |q| + |a|
/// tokens, |a| + 2 of them learnt.
class Stats : public testing::Test {
 protected:
  std::string file(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ / name, std::ios::binary) << text;
    return (folder_ / name).string();
  }
  DataOptions of(std::vector<DataSet> sets, std::int64_t max_tokens = 30) const {
    auto out = test::options(max_tokens);
    out.sets = std::move(sets);
    out.template_name = "belle_v1";
    return out;
  }
  /// 26, 32, 26 (a copy of the first) and 34 tokens; one whose prompt alone is longer than 30.
  DataOptions two_sets() const {
    return of({file("a.jsonl", line("ab", "cd") + line("ab", "cdefghij") + line("ab", "cd")),
               file("b.jsonl", Json{{"instruction", "你好"}, {"output", "再见"}, {"category", "math"}}.dump() + "\n" +
                                   line(std::string(40, 'q'), "x"))});
  }
  test::Scratch folder_;
  ByteTokenizer tokenizer_;
};

TEST_F(Stats, CountsWhatIsThereAndWhatIsCut) {
  const auto stats = data_stats(two_sets(), &tokenizer_);
  EXPECT_EQ(stats.records(), 5);
  EXPECT_THAT(stats.lengths.counts, ElementsAre(Pair(26, 2), Pair(32, 1), Pair(34, 1), Pair(63, 1)));
  const auto& report = stats.formatted;
  EXPECT_EQ(report.examples, 4);
  EXPECT_EQ(report.truncated, 2);
  EXPECT_EQ(report.tokens_cut, 2 + 4);
  EXPECT_EQ(report.skipped_unsupervised, 1);  // data.unsupervised is `error`, which would stop a run
  EXPECT_EQ(report.tokens, 26 + 30 + 26 + 30);
  EXPECT_EQ(report.supervised_tokens, 4 + (10 - 2) + 4 + (8 - 4));
  ASSERT_THAT(stats.sets, SizeIs(2));
  EXPECT_EQ(stats.sets[0].label, "a.jsonl");
  EXPECT_EQ(stats.sets[0].records, 3);
  EXPECT_EQ(stats.sets[0].lengths.total, 84);
  EXPECT_EQ(stats.sets[1].formatted.tokens_cut, 4);
  EXPECT_EQ(stats.exact_duplicates, 1);
}

TEST_F(Stats, TellsCategoriesLanguagesAndWords) {
  const auto stats = data_stats(two_sets(), &tokenizer_);
  const auto counts = [](const std::vector<Amount>& amounts) {
    std::map<std::string, std::int64_t> out;
    for (const auto& [name, count] : amounts) out[name] = count;
    return out;
  };
  EXPECT_THAT(counts(stats.categories), ElementsAre(Pair("", 4), Pair("math", 1)));
  EXPECT_THAT(counts(stats.languages), ElementsAre(Pair("CN", 1), Pair("EN", 4)));
  EXPECT_THAT(counts(stats.tags), ElementsAre(Pair("", 5)));
  const auto& english = stats.ngrams.at("EN").by_length;
  EXPECT_THAT(english[0].top, ElementsAre(CountedTerm{"ab", 3}, CountedTerm{"cd", 2}, CountedTerm{"cdefghij", 1},
                                          CountedTerm{std::string(40, 'q'), 1}, CountedTerm{"x", 1}));
  EXPECT_EQ(english[1].total, 0);  // nothing runs from one turn into the next
  EXPECT_THAT(stats.ngrams.at("CN").by_length[1].top, ElementsAre(CountedTerm{"你好", 1}, CountedTerm{"再见", 1}));
}

TEST_F(Stats, TakesTheCataloguesTags) {
  file("a.jsonl", line("ab", "cd") + line("ef", "gh"));
  const auto list = file("list.yaml", "mine: {language: EN/CN, task: MT, files: [a.jsonl]}\n");
  auto options = of({DataSet("mine"), file("b.jsonl", line("ij", "kl"))});
  options.catalogue = {list};
  const auto stats = data_stats(options, &tokenizer_);
  EXPECT_THAT(stats.sets[0].tags, ElementsAre("EN", "CN", "MT"));
  std::map<std::string, std::int64_t> tags;
  for (const auto& [name, count] : stats.tags) tags[name] = count;
  EXPECT_THAT(tags, ElementsAre(Pair("", 1), Pair("CN", 2), Pair("EN", 2), Pair("MT", 2)));
}

TEST_F(Stats, LengthsAreCharactersWithoutATokenizer) {
  const auto stats = data_stats(two_sets(), nullptr);
  EXPECT_THAT(stats.lengths.counts, ElementsAre(Pair(4, 3), Pair(10, 1), Pair(41, 1)));
  EXPECT_EQ(stats.formatted.examples, 0);
  EXPECT_THAT(stats_text(stats), AllOf(HasSubstr("lengths in characters"), Not(HasSubstr("cut at"))));
  const auto json = Json::parse(stats_json(stats));
  EXPECT_EQ(json["unit"], "characters");
  EXPECT_FALSE(json.contains("examples"));
}

TEST_F(Stats, FindsNearDuplicatesAmongTheFirst) {
  const std::string said = "The quick brown fox jumps over the lazy dog, and then it sleeps in the warm sun until the evening comes";
  const auto options =
      of({file("near.jsonl", line("Say it.", said) + line("Say it.", said + "!") + line("Say it.", said) + line("Add.", "3"))}, 512);
  const auto stats = data_stats(options, &tokenizer_);
  EXPECT_EQ(stats.exact_duplicates, 1);
  EXPECT_EQ(stats.near_duplicates, 1);
  EXPECT_EQ(stats.near_among, 4);
  const auto first = data_stats(options, &tokenizer_, {.near_records = 1});
  EXPECT_EQ(first.exact_duplicates, 1);
  EXPECT_EQ(first.near_duplicates, 0);
  EXPECT_EQ(first.near_among, 1);
}

TEST_F(Stats, CountsAfterTheMixturesOwnChoices) {
  auto options = two_sets();
  options.deduplicate = Deduplicate::kExact;
  options.sets[1].where.category = {"MATH"};
  const auto stats = data_stats(options, &tokenizer_);
  EXPECT_EQ(stats.records(), 3);
  EXPECT_EQ(stats.exact_duplicates, 0);
  EXPECT_EQ(stats.sets[0].report.duplicates, 1);
  EXPECT_EQ(stats.sets[1].report.filtered, 1);
  options.sets[1].where.category = options.sets[0].where.category = {"none"};
  EXPECT_THAT(message_of<DataError>([&] { data_stats(options, &tokenizer_); }), HasSubstr("no record left"));
}

TEST_F(Stats, SamplesShowWhatIsLearnt) {
  const auto options = of({file("one.jsonl", line("ab", "cd"))});
  EXPECT_THAT(data_stats(options, &tokenizer_).samples.at(0).runs,
              ElementsAre(MarkedRun{"<s>Human: ab\n\nAssistant:", false}, MarkedRun{" cd</s>", true}));
  EXPECT_THAT(data_stats(options, nullptr).samples.at(0).runs,
              ElementsAre(MarkedRun{"Human: ab\n\nAssistant:", false}, MarkedRun{" cd</s>", true}));
  EXPECT_THAT(data_stats(two_sets(), &tokenizer_, {.samples = 1}).samples, SizeIs(2));  // of each set
  EXPECT_THAT(data_stats(two_sets(), &tokenizer_, {.samples = 0}).samples, SizeIs(0));
}

TEST_F(Stats, SamplesDoNotDependOnTheOrder) {
  std::vector<std::string> lines;
  for (int i = 0; i < 40; ++i) lines.push_back(line("q" + std::to_string(i), "a"));
  const auto sampled = [&](const std::string& name) {
    std::string text;
    for (const auto& one : lines) text += one;
    std::vector<std::string> out;
    for (const auto& sample : data_stats(of({file(name, text)}), &tokenizer_, {.samples = 3}).samples)
      out.push_back(sample.runs.at(0).text);
    return out;
  };
  const auto forwards = sampled("forwards.jsonl");
  std::reverse(lines.begin(), lines.end());
  EXPECT_THAT(forwards, SizeIs(3));
  EXPECT_EQ(sampled("backwards.jsonl"), forwards);
}

TEST_F(Stats, WritesNumbersPicturesAndAPageOfItsOwn) {
  const auto options = of({file("a.jsonl", line("<script src=x>&", "\"'\n\nb") + line("你好", "再见"))}, 64);
  const auto names = write_stats(folder_ / "out", data_stats(options, &tokenizer_));
  EXPECT_THAT(names, testing::UnorderedElementsAre("stats.json", "sets.png", "sets.svg", "languages.png", "languages.svg", "lengths.png",
                                                   "lengths.svg", "index.html"));
  EXPECT_THAT(read_file(folder_ / "out" / "lengths.png"), testing::StartsWith("\x89PNG"));
  EXPECT_THAT(read_file(folder_ / "out" / "lengths.svg"),
              AllOf(testing::StartsWith("<svg "), HasSubstr("max_tokens 64"), testing::EndsWith("</svg>")));
  const auto page = read_file(folder_ / "out" / "index.html");
  EXPECT_THAT(
      page, AllOf(HasSubstr("Human: &lt;script src=x&gt;&amp;\n\nAssistant:<mark> &quot;&#39;\n\nb&lt;/s&gt;</mark>"), HasSubstr("你好")));
  for (const auto* outside : {"<script", "<link", "<img", "src=\"", "href", "url(", "@import"}) EXPECT_THAT(page, Not(HasSubstr(outside)));
  const auto json = Json::parse(read_file(folder_ / "out" / "stats.json"));
  EXPECT_EQ(json["lengths"]["counts"], Json::parse("[[34, 1], [42, 1]]"));
  EXPECT_EQ(json["examples"]["supervised_fraction"], (8.0 + 7.0) / 76.0);
  EXPECT_EQ(json["ngrams"]["CN"]["2"]["top"], Json::parse(R"([["你好", 1], ["再见", 1]])"));
}

}  // namespace
}  // namespace herd
