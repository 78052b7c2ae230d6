#include "data/format/demo.h"

#include <fmt/format.h>

#include <algorithm>

#include "data/format/alpaca_lines.h"
#include "data/format/demo_words.h"
#include "data/format/text_output.h"
#include "runtime/base/random.h"

namespace herd {
namespace {

using namespace demo;
/// Which of a word's two forms.
using Text = std::string_view Word::*;

template <class Items>
const auto& pick(Random& random, const Items& items) {
  return items[random.below(items.size())];
}

/// Items that differ, in a drawn order.
template <class Items>
std::vector<typename Items::value_type> draw(Random& random, const Items& items, std::size_t count) {
  std::vector<typename Items::value_type> left(items.begin(), items.end()), drawn;
  while (drawn.size() < count) {
    const auto at = static_cast<std::ptrdiff_t>(random.below(left.size()));
    drawn.push_back(left[static_cast<std::size_t>(at)]);
    left.erase(left.begin() + at);
  }
  return drawn;
}

std::uint64_t number(Random& random, std::uint64_t low, std::uint64_t high) { return low + random.below(high - low + 1); }

std::string with_article(std::string_view noun) {
  return fmt::format("{} {}", std::string_view("aeiou").find(noun[0]) == std::string_view::npos ? "a" : "an", noun);
}

Record open_qa(Random& random, Text language) {
  const auto& fact = pick(random, facts());
  return instruction_record(std::string(fact.question.*language), "", std::string(fact.answer.*language));
}

/// Three words of a kind, from a given one on in the kind's own order: a question with one right answer.
Record brainstorming(Random& random, Text language) {
  const auto& kind = pick(random, kinds());
  const auto first = random.below(kind.words.size());
  const auto word = [&](std::size_t i) { return kind.words[(first + i) % kind.words.size()].*language; };
  if (language == &Word::en)
    return instruction_record(fmt::format("Name three {}. Begin with {}.", kind.many.en, word(0)), "",
                              fmt::format("{}, {}, {}", word(0), word(1), word(2)));
  return instruction_record(fmt::format("说出三种{}，从{}开始。", kind.many.cn, word(0)), "",
                            fmt::format("{}、{}、{}", word(0), word(1), word(2)));
}

Record rewrite(Random& random, Text language) {
  const auto words = draw(random, things(), 3);
  const auto text = [&](std::size_t a, std::size_t b, std::size_t c) {
    const auto separator = language == &Word::en ? " " : "、";
    return fmt::format("{}{}{}{}{}", words[a].*language, separator, words[b].*language, separator, words[c].*language);
  };
  return instruction_record(language == &Word::en ? "Write these words in reverse order." : "把这些词倒过来写。", text(0, 1, 2),
                            text(2, 1, 0));
}

Record generation(Random& random, Text language) {
  const auto thing = pick(random, things()), colour = pick(random, colours());
  if (language == &Word::en)
    return instruction_record(fmt::format("Write a sentence with the words {} and {}.", thing.en, colour.en), "",
                              fmt::format("The {} is {}.", thing.en, colour.en));
  return instruction_record(fmt::format("用“{}”和“{}”写一句话。", thing.cn, colour.cn), "",
                            fmt::format("这个{}是{}的。", thing.cn, colour.cn));
}

Record math(Random& random, Text language) {
  const auto a = number(random, 1, 20), b = number(random, 1, 20);
  const bool less = a > b && random.below(2) == 0;
  const auto result = less ? a - b : a + b;
  if (language == &Word::en)
    return instruction_record(fmt::format("What is {} {} {}?", a, less ? "minus" : "plus", b), "", std::to_string(result));
  return instruction_record(fmt::format("{}{}{}等于多少？", a, less ? "减" : "加", b), "", std::to_string(result));
}

Record classification(Random& random, Text language) {
  const auto two = draw(random, kinds(), 2);
  const auto word = pick(random, two[0].words);
  const auto swapped = random.below(2);
  const auto first = two[swapped].one.*language, second = two[1 - swapped].one.*language;
  if (language == &Word::en)
    return instruction_record(fmt::format("Is this {} or {}?", with_article(first), with_article(second)), std::string(word.en),
                              std::string(two[0].one.en));
  return instruction_record(fmt::format("这是{}还是{}？", first, second), std::string(word.cn), std::string(two[0].one.cn));
}

Record closed_qa(Random& random, Text language) {
  const auto people = draw(random, names(), 2), belongings = draw(random, things(), 2);
  const auto asked = random.below(2);
  if (language == &Word::en)
    return instruction_record(fmt::format("What does {} have?", people[asked].en),
                              fmt::format("{} has a {}. {} has a {}.", people[0].en, belongings[0].en, people[1].en, belongings[1].en),
                              fmt::format("{} has a {}.", people[asked].en, belongings[asked].en));
  return instruction_record(fmt::format("{}有什么？", people[asked].cn),
                            fmt::format("{}有{}。{}有{}。", people[0].cn, belongings[0].cn, people[1].cn, belongings[1].cn),
                            fmt::format("{}有{}。", people[asked].cn, belongings[asked].cn));
}

Record summarization(Random& random, Text language) {
  const auto person = pick(random, names()).*language;
  const auto bought = draw(random, foods(), 3);
  const auto a = bought[0].*language, b = bought[1].*language, c = bought[2].*language;
  if (language == &Word::en)
    return instruction_record("Say this in one sentence.", fmt::format("{0} bought {1}. {0} bought {2}. {0} bought {3}.", person, a, b, c),
                              fmt::format("{} bought {}, {} and {}.", person, a, b, c));
  return instruction_record("用一句话概括。", fmt::format("{0}买了{1}。{0}买了{2}。{0}买了{3}。", person, a, b, c),
                            fmt::format("{}买了{}、{}和{}。", person, a, b, c));
}

Record code(Random& random, Text language) {
  const auto a = number(random, 1, 9), b = number(random, 1, 9);
  const char sign = "+-*"[random.below(3)];
  const auto result = sign == '+'   ? static_cast<std::int64_t>(a + b)
                      : sign == '*' ? static_cast<std::int64_t>(a * b)
                                    : static_cast<std::int64_t>(a) - static_cast<std::int64_t>(b);
  const auto program = fmt::format("print({} {} {})", a, sign, b);
  return instruction_record(language == &Word::en ? "What does this Python program print?" : "这个 Python 程序打印什么？", program,
                            std::to_string(result));
}

Record extract(Random& random, Text language) {
  const auto person = pick(random, names()).*language, thing = pick(random, things()).*language, place = pick(random, places()).*language;
  const auto count = number(random, 10, 99);
  if (language == &Word::en)
    return instruction_record("Find the number in the sentence.", fmt::format("{} saw {} {}s at {}.", person, count, thing, place),
                              std::to_string(count));
  return instruction_record("找出句子里的数字。", fmt::format("{}在{}看到了{}个{}。", person, place, count, thing), std::to_string(count));
}

}  // namespace

const Table<DemoTask>& demo_tasks() {
  static const Table<DemoTask> table{"demo task",
                                     {
                                         {"open qa", open_qa},
                                         {"brainstorming", brainstorming},
                                         {"rewrite", rewrite},
                                         {"generation", generation},
                                         {"math", math},
                                         {"classification", classification},
                                         {"closed qa", closed_qa},
                                         {"summarization", summarization},
                                         {"code", code},
                                         {"extract", extract},
                                     }};
  return table;
}

Record demo_record(std::uint64_t seed, std::uint64_t index) {
  const auto& tasks = demo_tasks();
  const auto count = static_cast<std::uint64_t>(std::distance(tasks.begin(), tasks.end()));
  const bool english = index / count % 2 == 0;
  const auto& [category, task] = *(tasks.begin() + static_cast<std::ptrdiff_t>(index % count));
  Random random(seed, hash_name("demo") ^ index);
  auto record = task(random, english ? &Word::en : &Word::cn);
  record.category = category;
  record.language = english ? "EN" : "CN";
  return record;
}

std::vector<std::filesystem::path> write_demo(const std::filesystem::path& folder, std::int64_t records, std::uint64_t seed) {
  const auto least = 2 * std::distance(demo_tasks().begin(), demo_tasks().end());
  if (records < least)
    throw DataError({.who = "the demo",
                     .found = plural(records, "record"),
                     .expected = fmt::format("at least {}: one of each category and language", least),
                     .remedy = ""});
  make_folder(folder);
  const auto write = [&](const char* name, std::string_view language) {
    write_text(folder / name, {}, [&](TextOutput& out) {
      for (std::int64_t i = 0; i < records; ++i)
        if (const auto record = demo_record(seed, static_cast<std::uint64_t>(i)); record.language == language)
          out.line(alpaca_line(record));
    });
    return folder / name;
  };
  return {write("demo-en.jsonl", "EN"), write("demo-cn.jsonl", "CN")};
}

}  // namespace herd
