// The small corpus: right by construction, checked here by working the answers out again from the questions' text.
#include "data/format/demo.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <regex>
#include <set>
#include <sstream>

#include "data/readers/reader.h"
#include "tests/data/text_files.h"

namespace herd {
namespace {

using testing::HasSubstr;

/// The groups of the first pattern that the whole text fits.
std::vector<std::string> groups(const std::string& text, const std::string& pattern) {
  std::smatch match;
  if (!std::regex_match(text, match, std::regex(pattern))) {
    ADD_FAILURE() << text << " does not fit " << pattern;
    return std::vector<std::string>(9);
  }
  std::vector<std::string> found;
  for (std::size_t i = 1; i < match.size(); ++i) found.push_back(match[i]);
  return found;
}

std::string calculated(const std::string& a, const std::string& sign, const std::string& b) {
  const int x = std::stoi(a), y = std::stoi(b);
  if (sign == "plus" || sign == "加" || sign == "+") return std::to_string(x + y);
  return std::to_string(sign == "*" ? x * y : x - y);
}

std::vector<std::string> parted(std::string text, const std::string& separator) {
  std::vector<std::string> parts;
  for (std::size_t at; (at = text.find(separator)) != std::string::npos; text.erase(0, at + separator.size()))
    parts.push_back(text.substr(0, at));
  parts.push_back(text);
  return parts;
}

std::string joined(const std::vector<std::string>& parts, const std::string& separator) {
  std::string text = parts.at(0);
  for (std::size_t i = 1; i < parts.size(); ++i) text += separator + parts[i];
  return text;
}

/// What the answer has to be; empty where only people can tell.
std::string worked_out(const Record& record) {
  const auto& question = record.turns[0].text;
  const auto& input = record.turns[0].input;
  const bool english = record.language == "EN";
  if (record.category == "math") {
    const auto g = groups(question, english ? "What is (\\d+) (plus|minus) (\\d+)\\?" : "(\\d+)(加|减)(\\d+)等于多少？");
    return calculated(g[0], g[1], g[2]);
  }
  if (record.category == "code") {
    const auto g = groups(input, "print\\((\\d) ([-+*]) (\\d)\\)");
    return calculated(g[0], g[1], g[2]);
  }
  if (record.category == "extract") return groups(input, "[^0-9]*([0-9]+)[^0-9]*")[0];
  if (record.category == "rewrite") {
    auto words = parted(input, english ? " " : "、");
    std::ranges::reverse(words);
    return joined(words, english ? " " : "、");
  }
  if (record.category == "closed qa") {
    const auto person = groups(question, english ? "What does (.*) have\\?" : "(.*)有什么？")[0];
    for (auto sentence : parted(input, english ? ". " : "。")) {
      if (!sentence.starts_with(person)) continue;
      if (english && sentence.ends_with('.')) sentence.pop_back();
      return sentence + (english ? "." : "。");
    }
    return "nobody";
  }
  if (record.category == "summarization") {
    const auto g = english ? groups(input, "(\\w+) bought (\\w+)\\. \\1 bought (\\w+)\\. \\1 bought (\\w+)\\.")
                           : groups(input, "(.+)买了(.+)。\\1买了(.+)。\\1买了(.+)。");
    return english ? g[0] + " bought " + g[1] + ", " + g[2] + " and " + g[3] + "."
                   : g[0] + "买了" + g[1] + "、" + g[2] + "和" + g[3] + "。";
  }
  if (record.category == "generation") {
    const auto g = groups(question, english ? "Write a sentence with the words (\\w+) and (\\w+)\\." : "用“(.+)”和“(.+)”写一句话。");
    return english ? "The " + g[0] + " is " + g[1] + "." : "这个" + g[0] + "是" + g[1] + "的。";
  }
  return "";
}

TEST(Demo, AnswersAreRight) {
  std::map<std::string, int> checked;
  for (std::uint64_t i = 0; i < 4000; ++i) {
    const auto record = demo_record(3, i);
    const auto answer = worked_out(record);
    if (answer.empty()) continue;
    EXPECT_EQ(record.turns[1].text, answer) << record.turns[0].text << " / " << record.turns[0].input;
    ++checked[record.category + record.language];
  }
  EXPECT_EQ(checked.size(), 14u);
  for (const auto& [category, count] : checked) EXPECT_EQ(count, 200) << category;
}

TEST(Demo, ThingsOfAKindAgreeWithTheirClass) {
  std::map<std::string, std::string> kind_of;  // by what is classified
  for (std::uint64_t i = 5; i < 4000; i += 20) {
    const auto record = demo_record(1, i);
    ASSERT_EQ(record.category, "classification");
    const auto g = groups(record.turns[0].text, "Is this an? (\\w+) or an? (\\w+)\\?");
    EXPECT_THAT(g, testing::Contains(record.turns[1].text));
    EXPECT_NE(g[0], g[1]);
    EXPECT_EQ(kind_of.try_emplace(record.turns[0].input, record.turns[1].text).first->second, record.turns[1].text);
  }
  for (std::uint64_t i = 1; i < 4000; i += 20) {
    const auto record = demo_record(1, i);
    ASSERT_EQ(record.category, "brainstorming");
    const auto g = groups(record.turns[0].text, "Name three (\\w+)s\\. Begin with (\\w+)\\.");
    const auto three = parted(record.turns[1].text, ", ");
    EXPECT_EQ(three.at(0), g[1]);
    EXPECT_EQ(std::set(three.begin(), three.end()).size(), 3u);
    for (const auto& one : three) EXPECT_EQ(kind_of[one], g[0]) << one;
  }
}

TEST(Demo, ARecordIsAFunctionOfSeedAndIndex) {
  const auto before = demo_record(9, 123);
  demo_record(9, 4);
  EXPECT_EQ(demo_record(9, 123), before);
  int differ = 0;
  for (std::uint64_t i = 0; i < 200; ++i) differ += demo_record(9, i) != demo_record(10, i);
  EXPECT_GT(differ, 150);
}

class DemoFiles : public test::TextFiles {};

TEST_F(DemoFiles, TwoLanguagesOfTenCategories) {
  const auto files = write_demo(scratch_ / "demo", 400, 1);
  ASSERT_EQ(files.size(), 2u);
  const auto first = read_file(files[0]);
  for (const auto& file : files) {
    std::istringstream in(read_file(file));
    std::map<std::string, int> categories;
    for (std::string line; std::getline(in, line);) {
      const auto record = nlohmann::json::parse(line);
      EXPECT_EQ(record.size(), 4u);
      ++categories[record.at("category")];
      const auto text = record.at("instruction").get<std::string>();
      EXPECT_EQ(text.find("？") != std::string::npos || text.find("。") != std::string::npos, file == files[1]) << text;
    }
    EXPECT_THAT(categories, testing::UnorderedElementsAre(std::pair("open qa", 20), std::pair("brainstorming", 20),
                                                          std::pair("rewrite", 20), std::pair("generation", 20), std::pair("math", 20),
                                                          std::pair("classification", 20), std::pair("closed qa", 20),
                                                          std::pair("summarization", 20), std::pair("code", 20), std::pair("extract", 20)));
  }
  EXPECT_EQ(read_records(std::vector{files[0].string(), files[1].string()}).records.size(), 400u);
  write_demo(scratch_ / "demo", 400, 1);
  EXPECT_EQ(read_file(files[0]), first);
  EXPECT_THAT(test::message_of<DataError>([&] { write_demo(scratch_ / "demo", 19, 1); }), HasSubstr("at least 20"));
}

}  // namespace
}  // namespace herd
