#include "data/streamed_batches.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <set>

#include "runtime/base/error.h"
#include "tests/data/toy_records.h"
#include "tests/data/toy_tokenizers.h"
#include "tests/support/errors.h"
#include "tests/support/scratch.h"

namespace herd {
namespace {

using test::ByteTokenizer;
using test::message_of;
using test::options;
using testing::AllOf;
using testing::HasSubstr;

/// All tokens of a batch, row by row.
std::vector<std::vector<std::int64_t>> rows_of(const Batch& batch) {
  std::vector<std::vector<std::int64_t>> out;
  if (!batch.tokens_bt.defined()) return out;
  for (std::int64_t r = 0; r < batch.tokens_bt.size(0); ++r) {
    const auto row = batch.tokens_bt[r].contiguous();
    out.emplace_back(row.const_data_ptr<std::int64_t>(), row.const_data_ptr<std::int64_t>() + row.numel());
    while (!out.back().empty() && out.back().back() == 257) out.back().pop_back();  // the padding, and an end before it
  }
  return out;
}

struct Made {
  bool packing = false, group = false;
  std::int64_t batch = 16;
  double held_out = 0;
};

class Stream : public testing::Test {
 protected:
  /// A file of records that name themselves: "NAME i".
  DataSet file(const std::string& name, int count, const std::string& ending = "jsonl") const {
    const auto path = folder_ / (name + "." + ending);
    std::ofstream out(path);
    if (ending == "json") out << "[";
    for (int i = 0; i < count; ++i)
      out << (ending == "json" && i ? "," : "") << R"({"instruction": ")" << name << " " << i << R"(", "output": ")" << std::string(static_cast<std::size_t>(i % 7), 'x') << "y\"}\n";
    if (ending == "json") out << "]";
    return path.string();
  }
  std::unique_ptr<StreamedBatches> open(std::vector<DataSet> sets, const Made& m = {}, std::int64_t epochs = 3) const {
    auto o = options(512);
    o.sets = std::move(sets);
    o.packing = m.packing;
    o.group_by_length = m.group;
    o.held_out = m.held_out;
    o.streaming = true;
    return std::make_unique<StreamedBatches>(o, resolve_sets(o), tokenizer_, m.batch, epochs, 257);
  }
  using Step = std::vector<std::vector<std::int64_t>>;
  static Step step(StreamedBatches& batches, std::int64_t number, int ranks = 1, std::int64_t micro = 1000) {
    Step out;
    for (int rank = 0; rank < ranks; ++rank)
      for (const auto& batch : batches.micro_batches(number, rank, ranks, micro))
        for (auto& row : rows_of(batch)) out.push_back(std::move(row));
    return out;
  }
  static std::vector<Step> all(StreamedBatches& batches, int ranks = 1, std::int64_t micro = 1000) {
    std::vector<Step> out;
    while (batches.has(std::ssize(out))) out.push_back(step(batches, std::ssize(out), ranks, micro));
    return out;
  }

  test::Scratch folder_;
  ByteTokenizer tokenizer_;
};

TEST_F(Stream, AnEpochShowsEveryRecordOnceAndEndsWithAShortStep) {
  for (const auto& made : {Made{}, Made{.packing = true}, Made{.group = true}}) {
    auto batches = open({file("a", 10000), file("b", 3001, "json")}, made, 2);
    std::map<std::string, int> seen;
    std::int64_t tokens = 0, epochs = 0, short_steps = 0;
    for (std::int64_t number = 0; batches->has(number); ++number) {
      const auto size = batches->size(number);
      tokens += size.tokens;
      short_steps += size.rows < 16;
      for (const auto& row : step(*batches, number)) {
        std::string text;
        for (const auto id : row) text += id < 256 ? static_cast<char>(id) : '\n';
        for (std::size_t at = 0; (at = text.find("### Instruction:\n", at)) != text.npos; ++at) ++seen[text.substr(at + 17, text.find("\n\n###", at + 17) - at - 17)];
      }
      if (const auto ended = batches->epoch_ended_at(number + 1)) {
        EXPECT_EQ(*ended, epochs++);
        for (const auto& [name, count] : seen) ASSERT_EQ(count, epochs) << name;
        EXPECT_EQ(seen.size(), 13001u);
      }
    }
    EXPECT_EQ(epochs, 2);
    EXPECT_LE(short_steps, 2);
    EXPECT_GT(tokens, 0);
  }
}

TEST_F(Stream, RanksMicroBatchesAndThreadsChangeNothing) {
  const std::vector sets{file("a", 9000), file("b", 500)};
  const auto one = all(*open(sets, {.packing = true}, 1));
  EXPECT_EQ(all(*open(sets, {.packing = true}, 1), 3, 2), one);
  EXPECT_EQ(all(*open(sets, {.packing = true}, 1), 4, 1), one);
  EXPECT_NE(one[0], one[1]);
}

TEST_F(Stream, GoesOnExactlyFromAnyStep) {
  const std::vector sets{file("a", 9000), file("b", 2500, "json")};
  for (const auto& made : {Made{.packing = true, .batch = 50}, Made{.batch = 700}}) {
    auto whole = open(sets, made, 2);
    std::vector<Step> steps;
    std::vector<std::string> places{whole->place(0)};
    while (whole->has(std::ssize(steps))) {
      steps.push_back(step(*whole, std::ssize(steps)));
      places.push_back(whole->place(std::ssize(steps)));
    }
    ASSERT_GT(steps.size(), 20u);
    for (std::size_t from = 0; from < steps.size(); from += 1 + steps.size() / 9) {
      auto rest = open(sets, made, 2);
      rest->go_to(static_cast<std::int64_t>(from), places[from]);
      auto number = from;
      for (; rest->has(static_cast<std::int64_t>(number)) && number < from + 6; ++number)
        ASSERT_EQ(step(*rest, static_cast<std::int64_t>(number)), steps[number]) << "from " << from;
      ASSERT_TRUE(number == from + 6 || number == steps.size());
      ASSERT_EQ(rest->place(static_cast<std::int64_t>(number)), places[number]);
    }
    auto last = open(sets, made, 2);
    last->go_to(static_cast<std::int64_t>(steps.size()), places.back());
    EXPECT_FALSE(last->has(static_cast<std::int64_t>(steps.size())));
  }
}

TEST_F(Stream, HeldOutRecordsStayOut) {
  const std::vector sets{file("a", 4000)};
  std::size_t rows = 0;
  for (const auto& s : all(*open(sets, {.held_out = 0.25}, 1))) rows += s.size();
  EXPECT_NEAR(static_cast<double>(rows), 3000, 150);
}

TEST_F(Stream, WeightsCountOverEpochs) {
  auto half = file("half", 1000), twice = file("twice", 300);
  half.weight = 0.5;
  twice.weight = 2;
  auto batches = open({half, twice}, {}, 4);
  std::size_t rows = 0;
  for (const auto& s : all(*batches)) rows += s.size();
  EXPECT_EQ(rows, 1000u * 2 + 300 * 8);
}

TEST_F(Stream, RefusesWhatWantsAllRecordsBeforehand) {
  auto set = file("a", 100);
  set.limit = 3;
  EXPECT_THAT(message_of<ConfigError>([&] { open({set}); }), AllOf(HasSubstr("limit"), HasSubstr("herd data export")));
  EXPECT_THAT(message_of<ConfigError>([&] { open({file("b", 10)}, {.held_out = 5}); }), HasSubstr("data.held_out"));
  auto batches = open({file("c", 100)});
  batches->size(0);
  EXPECT_THAT(message_of<DataError>([&] { batches->size(5); }), HasSubstr("one after another"));
  EXPECT_THAT(message_of<DataError>([&] { batches->go_to(3, "{\"epoch\": 0}"); }), HasSubstr("place in the data"));
}

TEST_F(Stream, ABrokenRecordIsToldWhenItIsReached) {
  auto set = file("a", 200);
  std::ofstream(set.name, std::ios::app) << "{\"instruction\": 4}\n";
  EXPECT_THAT(message_of<DataError>([&] {
                auto batches = open({set}, {.batch = 4});
                for (std::int64_t number = 0; batches->has(number); ++number) batches->size(number);
              }),
              HasSubstr("a.jsonl:201 (record 201)"));
}

}  // namespace
}  // namespace herd
