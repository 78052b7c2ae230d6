#include "data/dataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "data/catalogue.h"
#include "data/language.h"
#include "runtime/base/error.h"
#include "runtime/base/random.h"
#include "tests/data/data_files.h"
#include "tests/data/toy_records.h"
#include "tests/data/toy_tokenizers.h"
#include "tests/support/assets.h"
#include "tests/support/errors.h"
#include "tests/support/scratch.h"

namespace herd {
namespace {

namespace fs = std::filesystem;
using test::ByteTokenizer;
using test::Data;
using test::line;
using test::message_of;
using test::options;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

TEST_F(Data, AFractionStandsOnTheSameSideInEveryMixture) {
  const auto a = numbered("a", 2000), b = numbered("b", 500);
  auto one = of({a}), both = of({b, a});
  one.held_out = both.held_out = 0.1;
  const auto alone = held_out(one), mixed = held_out(both);
  EXPECT_NEAR(static_cast<double>(alone.size()), 200, 4 * std::sqrt(2000 * 0.1 * 0.9));
  for (const auto& question : alone) EXPECT_TRUE(mixed.contains(question)) << question;
  for (const auto& question : train(one)) EXPECT_FALSE(mixed.contains(question)) << question;
  one.held_out = 0.2;  // more of them: the same ones and others
  for (const auto& question : alone) EXPECT_TRUE(held_out(one).contains(question));
  one.held_out = 0.1;
  one.seed = 5;  // of the order alone
  EXPECT_EQ(held_out(one), alone);
  one.split_seed = 5;
  EXPECT_NE(held_out(one), alone);
}

TEST_F(Data, RecordsThatAskTheSameNeverPart) {
  std::string text;
  for (int i = 0; i < 300; ++i)
    for (const auto* answer : {"x", "y", "z"}) text += line((answer[0] == 'y' ? "  Question  " : "question ") + std::to_string(i), answer);
  auto o = of({file("three.jsonl", text)});
  for (const double part : {0.25, 100.0}) {
    o.held_out = part;
    std::map<std::string, int> sides;
    for (auto question : held_out(o)) {
      question.erase(0, question.find_first_not_of(' '));
      for (auto& c : question) c = static_cast<char>(std::tolower(c));
      ++sides[question.substr(question.find_last_of(' '))];
    }
    for (const auto& [question, count] : sides) EXPECT_EQ(count, 3) << question;
    if (part > 1) { EXPECT_EQ(sides.size(), 34u); }  // 100 records are 33 questions and one of the next
  }
}

TEST_F(Data, ANumberOfRecordsIsExact) {
  auto o = of({numbered("a", 300)});
  o.held_out = 25;
  EXPECT_EQ(held_out(o).size(), 25u);
  EXPECT_EQ(train(o).size(), 275u);
  o.held_out = 300;
  EXPECT_THAT(message_of<ConfigError>([&] { load_dataset(o, ByteTokenizer()); }), HasSubstr("300 of 300 records"));
  o.held_out = 0.0001;
  EXPECT_THAT(message_of<ConfigError>([&] { load_dataset(o, ByteTokenizer()); }), HasSubstr("holds none back"));
}

TEST_F(Data, WhereTakesCategoriesLanguagesAndLengths) {
  const auto set = file("mixed.jsonl", R"({"instruction": "one", "output": "a", "category": "Math"})" "\n"
                                       R"({"instruction": "two", "output": "a", "category": "code"})" "\n"
                                       R"({"instruction": "三个字", "output": "好的"})" "\n"
                                       R"({"instruction": "three", "output": "aaaaaaaaaaaaaaaaaaaa", "lang": "CN"})" "\n");
  const auto taken = [&](Where where) {
    DataSet s(set);
    s.where = std::move(where);
    return train(of({s}));
  };
  EXPECT_THAT(taken({.category = {"math"}}), ElementsAre("one"));
  EXPECT_THAT(taken({.category = {"math", "code"}}), ElementsAre("one", "two"));
  EXPECT_THAT(taken({.language = {"CN"}}), ElementsAre("three", "三个字"));
  EXPECT_THAT(taken({.min_chars = 5, .max_chars = 24}), ElementsAre("三个字"));
  EXPECT_THAT(message_of<DataError>([&] { taken({.category = {"poems"}}); }), AllOf(HasSubstr("mixed.jsonl"), HasSubstr("no record left of 4")));
}

TEST_F(Data, ALimitTakesTheSameRecordsWhateverTheirOrder) {
  const auto a = numbered("a", 400);
  DataSet set(a);
  set.limit = 50;
  const auto taken = train(of({set}));
  EXPECT_EQ(taken.size(), 50u);
  EXPECT_FALSE(taken.contains("a 0") && taken.contains("a 1") && taken.contains("a 2") && taken.contains("a 3"));  // no head of the file
  std::string reversed;
  for (int i = 400; i-- > 0;) reversed += R"({"instruction": "a )" + std::to_string(i) + R"(", "output": "a"})" "\n";
  DataSet other(file("reversed.jsonl", reversed));
  other.limit = 50;
  EXPECT_EQ(train(of({other})), taken);
  set.limit = 1000;
  EXPECT_EQ(train(of({set})).size(), 400u);
}

TEST_F(Data, DuplicatesGoExactAndNear) {
  const std::string essay = "The quick brown fox jumps over the lazy dog while the sun is shining brightly on the green hills of the far country, and nobody minds.";
  const auto set = file("twice.jsonl", line("Tell me.", essay) + line("Tell me.", essay) + line("Tell me.", essay + " At all.") + line("Tell me.", "Something else, which nobody has said before."));
  auto o = of({set});
  EXPECT_EQ(load_dataset(o, ByteTokenizer()).train.size(), 4);
  o.deduplicate = Deduplicate::kExact;
  EXPECT_EQ(load_dataset(o, ByteTokenizer()).train.size(), 3);
  o.deduplicate = Deduplicate::kNear;
  const auto near = load_dataset(o, ByteTokenizer());
  EXPECT_EQ(near.train.size(), 2);
  EXPECT_EQ(near.sets[0].duplicates, 2);
  EXPECT_THAT(near.summary().back(), HasSubstr("2 left out as duplicates"));
}

// The sketch's likeness is that of the sets of pieces, as an exact count has it.
TEST(Duplicates, LikenessIsTheShareOfPiecesInCommon) {
  Random random(5, 0);
  const auto pieces = [](const std::string& text) {
    std::set<std::string> out;
    for (std::size_t i = 0; i + 5 <= text.size(); ++i) out.insert(text.substr(i, 5));
    return out;
  };
  for (int trial = 0; trial < 20; ++trial) {
    std::string a;
    for (int i = 0; i < 400; ++i) a += static_cast<char>('a' + random.below(26));
    auto b = a;
    for (int i = 0; i < trial; ++i) b[random.below(b.size())] = '#';
    const auto x = pieces(a), y = pieces(b);
    std::size_t common = 0;
    for (const auto& piece : x) common += y.contains(piece);
    const auto exact = static_cast<double>(common) / static_cast<double>(x.size() + y.size() - common);
    const auto key = [](const std::string& text) {
      Record record;
      record.turns = {{.role = Role::kText, .text = text}};
      return key_of(record, true);
    };
    EXPECT_NEAR(likeness(key(a), key(b)), exact, 4 * std::sqrt(exact * (1 - exact) / 128) + 1e-9);
  }
}

TEST(Language, ByLetters) {
  EXPECT_EQ(language_of_text("Hello there, 你"), "EN");
  EXPECT_EQ(language_of_text("请写一个 Python 程序。"), "CN");
  EXPECT_EQ(language_of_text("これは日本語の文章です。"), "JA");
  EXPECT_EQ(language_of_text("안녕하세요"), "KO");
  EXPECT_EQ(language_of_text("Привет"), "RU");
  EXPECT_EQ(language_of_text("12 + 3 = 15"), "");
}

TEST_F(Data, WeightsShowRecordsAsOftenAsTheySay) {
  DataSet half(numbered("half", 101)), twice(numbered("twice", 30)), one(numbered("one", 20));
  half.weight = 0.5;
  twice.weight = 2;
  const auto dataset = load_dataset(of({half, twice, one}), ByteTokenizer());
  std::vector<ExampleSize> sizes;
  for (std::int64_t i = 0; i < dataset.train.size(); ++i) sizes.push_back({dataset.train.length(i), 1, dataset.train[i].weight()});
  const Sampler sampler(sizes, {.global_batch_size = 7, .seed = 3});
  std::map<std::int64_t, int> seen;
  for (std::int64_t epoch = 0; epoch < 4; ++epoch) {
    int halves = 0, twos = 0;
    for (auto step = sampler.first_step(epoch); step < sampler.first_step(epoch + 1); ++step) {
      const auto rows = sampler.rows(step);
      for (std::int64_t r = 0; r < rows.count; ++r)
        for (const auto member : rows.row(r)) {
          ++seen[member];
          halves += member < 101;
          twos += member >= 101 && member < 131;
        }
    }
    EXPECT_TRUE(halves == 50 || halves == 51) << halves;
    EXPECT_EQ(twos, 60);
  }
  for (std::int64_t i = 0; i < dataset.train.size(); ++i) EXPECT_EQ(seen[i], i < 101 ? 2 : i < 131 ? 8 : 4) << i;
}

TEST_F(Data, TextIsJoinedAndCut) {
  const auto set = file("two.txt", "abcdefgh\nxy\nklmnopqrstuvw\n");
  auto o = of({set});
  o.objective = Objective::kText;
  o.max_tokens = 8;
  const auto dataset = load_dataset(o, ByteTokenizer());
  std::vector<TokenId> all, expected;
  for (std::int64_t i = 0; i < dataset.train.size(); ++i) {
    const auto example = dataset.train[i];
    EXPECT_TRUE(example.length() == 8 || i + 1 == dataset.train.size());
    EXPECT_EQ(example.supervised_tokens(), example.length() - 1);
    EXPECT_FALSE(example.supervised(0));
    for (const auto id : example.tokens()) all.push_back(id);
  }
  for (const std::string text : {"abcdefgh", "xy", "klmnopqrstuvw"}) {
    expected.push_back(256);
    for (const unsigned char c : text) expected.push_back(c);
    expected.push_back(257);
  }
  EXPECT_EQ(all, expected);  // 29 tokens: 8 + 8 + 8 + 5
  o.objective = Objective::kInstructions;
  EXPECT_THAT(message_of<DataError>([&] { load_dataset(o, ByteTokenizer()); }), AllOf(HasSubstr("two.txt:1"), HasSubstr("plain text"), HasSubstr("data.objective=text")));
  auto other = of({numbered("a", 3)});
  other.objective = Objective::kText;
  EXPECT_THAT(message_of<DataError>([&] { load_dataset(other, ByteTokenizer()); }), HasSubstr("a conversation"));
}

TEST_F(Data, NamesAreFoundOrTheNearestIsNamed) {
  EXPECT_THAT(message_of<ConfigError>([&] { load_dataset(of({std::string("alpacca")}), ByteTokenizer()); }), AllOf(HasSubstr("alpacca"), HasSubstr("did you mean 'alpaca'?")));
  EXPECT_THAT(message_of<ConfigError>([&] { load_dataset(of({std::string("alpaca")}), ByteTokenizer()); }), AllOf(HasSubstr("alpaca_data_cleaned.json"), HasSubstr("data.folder"), HasSubstr("Alpaca-CoT collection")));
  EXPECT_THAT(message_of<ConfigError>([&] { load_dataset(of({std::string("gpt4all")}), ByteTokenizer()); }), HasSubstr("not what its files are called"));
  EXPECT_THROW(load_dataset(of({(folder_ / "absent.json").string()}), ByteTokenizer()), IoError);
  const auto a = numbered("a", 3);
  EXPECT_THAT(message_of<ConfigError>([&] { load_dataset(of({a, a}), ByteTokenizer()); }), AllOf(HasSubstr("a.jsonl twice"), HasSubstr("weight: 2")));
}

TEST_F(Data, AliasesTagsAndPatterns) {
  numbered("a", 3);
  numbered("b", 4);
  fs::create_directory(folder_ / "data");
  std::ofstream(folder_ / "data/alpaca_data_cleaned.json") << line("of alpaca", "x");
  std::ofstream(folder_ / "data/belle_data_cn.json") << line("belle 的", "x");
  auto o = of({(folder_ / "*.jsonl").string()});
  EXPECT_EQ(load_dataset(o, ByteTokenizer()).train.size(), 7);
  o.folder = (folder_ / "data").string();
  o.sets = {DataSet("alpaca"), DataSet("belle")};
  EXPECT_EQ(train(o), (std::multiset<std::string>{"belle 的", "of alpaca"}));
  o.sets = {DataSet("tag:cn")};
  EXPECT_EQ(train(o), (std::multiset<std::string>{"belle 的"}));
  o.catalogue = {file("mine.yaml", "house: {title: Ours, language: EN, files: [a.jsonl], licence: ours}\n")};
  o.sets = {DataSet("house")};
  EXPECT_EQ(train(o).size(), 3u);
  o.catalogue.push_back(file("more.yaml", "house: {files: [b.jsonl]}\n"));
  EXPECT_THAT(message_of<ConfigError>([&] { load_dataset(o, ByteTokenizer()); }), AllOf(HasSubstr("more.yaml:1"), HasSubstr("'house'"), HasSubstr("mine.yaml:1"), HasSubstr("each alias once")));
}

TEST_F(Data, ReadsLlamaFactorysCatalogue) {
  file("own.json", R"([{"q": "one", "ctx": "two", "a": "three"}])");
  file("chat.json", R"([{"conversations": [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "ho"}]}])");
  auto o = of({DataSet("own"), DataSet("chat")});
  o.catalogue = {file("dataset_info.json", R"({"own": {"file_name": "own.json", "columns": {"prompt": "q", "query": "ctx", "response": "a"}},
                                              "chat": {"file_name": "chat.json", "formatting": "sharegpt"}, "far": {"hf_hub_url": "org/far"}})")};
  const auto dataset = load_dataset(o, ByteTokenizer());
  const auto text = ByteTokenizer().decode(dataset.train[0].tokens(), true);
  EXPECT_THAT(text, AllOf(HasSubstr("### Instruction:\none\n"), HasSubstr("### Input:\ntwo\n"), HasSubstr("### Response: three")));
  EXPECT_THAT(ByteTokenizer().decode(dataset.train[1].tokens(), true), HasSubstr("hi\n\n### Response: ho"));
  o.sets = {DataSet("far")};
  EXPECT_THAT(message_of<ConfigError>([&] { load_dataset(o, ByteTokenizer()); }), HasSubstr("hub:org/far"));
}

TEST(CatalogueOfHerd, IsTheCollectionOfTheSeeds) {
  const Catalogue catalogue;
  EXPECT_EQ(catalogue.find("cot")->records, 74771);
  EXPECT_TRUE(catalogue.find("cot")->has_tag("CN"));
  EXPECT_FALSE(catalogue.find("belle")->has_tag("EN"));
  for (const auto* alias : {"alpaca", "belle", "alpaca-belle", "cot", "alpaca-cot", "alpaca-belle-cot", "belle1.5m", "finance", "multiturn_chat", "CoT_Chinese_data"})
    EXPECT_TRUE(catalogue.find(alias)) << alias;
  const auto path = test::assets().parent_path() / "spec/facts/alpaca_cot_collection.json";
  if (!fs::exists(path)) GTEST_SKIP() << "no " << path;
  const auto facts = nlohmann::json::parse(std::ifstream(path));
  for (const auto& fact : facts) {
    const auto found = std::find_if(catalogue.entries().begin(), catalogue.entries().end(), [&](const auto& entry) { return entry.title == fact.at("dataset"); });
    ASSERT_NE(found, catalogue.entries().end()) << fact;
    EXPECT_EQ(std::to_string(found->records), fact.at("count") == "todo" ? "0" : fact.at("count")) << fact;
    EXPECT_EQ(found->language, fact.at("lang"));
    EXPECT_EQ(found->task, fact.at("task"));
    EXPECT_EQ(found->generation, fact.at("gen"));
    EXPECT_EQ(found->type, fact.at("type"));
  }
}

}  // namespace
}  // namespace herd
