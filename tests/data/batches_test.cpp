#include "data/batches.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>

#include "runtime/base/error.h"
#include "runtime/base/random.h"

namespace herd {
namespace {

constexpr TokenId kPad = 7;
constexpr std::int64_t kMaxTokens = 64;

/// Example i has a length of its own and tokens that name it: 1000·(i + 1) + position. All but its first third is supervised.
std::vector<Example> made(int count) {
  std::vector<Example> out;
  Random random(11, 0);
  for (int i = 0; i < count; ++i) {
    Example example;
    const auto length = 2 + random.below(kMaxTokens - 1);
    for (std::uint64_t t = 0; t < length; ++t) {
      example.tokens.push_back(static_cast<TokenId>(1000 * (i + 1) + static_cast<int>(t)));
      example.supervised.push_back(t > 0 && t >= length / 3);
      example.supervised_tokens += example.supervised.back();
    }
    out.push_back(std::move(example));
  }
  return out;
}

SamplerOptions options(bool packing, std::int64_t global_batch_size = 8) {
  return {.global_batch_size = global_batch_size, .max_tokens = kMaxTokens, .packing = packing, .order = Order::kShuffled, .seed = 5};
}

std::vector<std::int64_t> values(const Tensor& tensor) {
  const auto flat = tensor.contiguous().view(-1);
  return {flat.const_data_ptr<std::int64_t>(), flat.const_data_ptr<std::int64_t>() + flat.numel()};
}

TEST(Pack, PlacesEveryExampleOnceWithinTheLimit) {
  Random random(3, 0);
  std::vector<std::int64_t> lengths;
  for (int i = 0; i < 3000; ++i) lengths.push_back(1 + static_cast<std::int64_t>(random.below(200)));
  const auto rows = pack_rows(permutation(3000, 1, 0), lengths, 256, {1, 0});
  std::int64_t total = 0;
  for (std::int64_t r = 0; r < rows.size(); ++r) {
    std::int64_t length = 0;
    for (const auto member : rows[r]) length += lengths[static_cast<std::size_t>(member)];
    EXPECT_GT(length, 0);
    EXPECT_LE(length, 256);
    total += length;
  }
  auto members = rows.members;
  std::sort(members.begin(), members.end());
  for (std::int64_t i = 0; i < 3000; ++i) ASSERT_EQ(members[static_cast<std::size_t>(i)], i);
  EXPECT_GT(static_cast<double>(total) / static_cast<double>(rows.size() * 256), 0.95);
}

TEST(Pack, TakesTheLongestAndWhatFillsIt) {
  const std::vector<std::int64_t> order{0, 1, 2, 3, 4, 5, 6}, lengths{6, 5, 3, 5, 1, 4, 2};
  const auto rows = pack_rows(order, lengths, 10, {1, 0});  // 6+1+3 | 5+5 | 4+2: of the fillings of 4 left, 1+3 comes before 4
  std::set<std::vector<std::int64_t>> found;
  for (std::int64_t r = 0; r < rows.size(); ++r) found.emplace(rows[r].begin(), rows[r].end());
  EXPECT_EQ(found, (std::set<std::vector<std::int64_t>>{{0, 4, 2}, {1, 3}, {5, 6}}));
  EXPECT_THROW(pack_rows(order, lengths, 5, {1, 0}), ShapeError);
}

// Lengths as of real records: a few long ones among many short. What no packing can beat is all tokens by the places of as few rows.
TEST(Pack, FillsRowsOfRealLengths) {
  Random random(9, 0);
  std::vector<std::int64_t> lengths;
  std::int64_t total = 0;
  for (int i = 0; i < 20000; ++i) {
    lengths.push_back(std::min<std::int64_t>(512, static_cast<std::int64_t>(40 + 120 * std::exp(0.8 * random.normal()))));
    total += lengths.back();
  }
  const auto rows = pack_rows(permutation(20000, 1, 0), lengths, 512, {1, 0});
  EXPECT_GT(static_cast<double>(total) / static_cast<double>(rows.size() * 512), 0.98);
}

TEST(Pack, GroupsRowsOfLikeLength) {
  Random random(4, 0);
  std::vector<std::int64_t> lengths;
  for (int i = 0; i < 1001; ++i) lengths.push_back(1 + static_cast<std::int64_t>(random.below(200)));
  const auto order = permutation(1001, 1, 0);
  const auto rows = grouped_rows(order, lengths, 8, {1, 0});
  ASSERT_EQ(rows.size(), 1001);
  auto members = rows.members;
  std::int64_t padded = 0, padded_before = 0;
  for (std::size_t begin = 0; begin < members.size(); begin += 8) {
    const auto longest = [&](const auto& of) {
      std::int64_t most = 0;
      for (auto i = begin; i < std::min<std::size_t>(begin + 8, of.size()); ++i) most = std::max(most, lengths[static_cast<std::size_t>(of[i])]);
      return most * static_cast<std::int64_t>(std::min<std::size_t>(8, of.size() - begin));
    };
    padded += longest(members);
    padded_before += longest(order);
  }
  std::int64_t total = 0;
  for (const auto length : lengths) total += length;
  EXPECT_LT(static_cast<double>(padded - total), 0.05 * static_cast<double>(padded_before - total));
  std::sort(members.begin(), members.end());
  for (std::int64_t i = 0; i < 1001; ++i) ASSERT_EQ(members[static_cast<std::size_t>(i)], i);
}

// An epoch's rows come from all over it: the first steps do not hold the long examples alone.
TEST(Pack, RowsComeInARandomOrder) {
  std::vector<std::int64_t> lengths;
  for (int i = 0; i < 4000; ++i) lengths.push_back(1 + i % 100);
  const auto rows = pack_rows(permutation(4000, 1, 0), lengths, 100, {1, 0});
  std::vector<double> firsts;
  for (std::int64_t r = 0; r < rows.size(); ++r) firsts.push_back(static_cast<double>(lengths[static_cast<std::size_t>(rows[r][0])]));
  const auto mean = [&](std::size_t begin, std::size_t end) {
    return std::accumulate(firsts.begin() + static_cast<std::ptrdiff_t>(begin), firsts.begin() + static_cast<std::ptrdiff_t>(end), 0.0) / static_cast<double>(end - begin);
  };
  EXPECT_NEAR(mean(0, firsts.size() / 4), mean(0, firsts.size()), 3);
}

class Sampling : public testing::TestWithParam<bool> {
 protected:
  bool packing() const { return GetParam(); }
};

TEST_P(Sampling, AnEpochShowsEveryExampleOnce) {
  const auto examples = made(101);
  const Batches batches(examples, options(packing()), kPad);
  for (std::int64_t epoch = 0; epoch < 3; ++epoch) {
    std::multiset<std::int64_t> seen;
    const auto begin = batches.sampler().first_step(epoch), end = batches.sampler().first_step(epoch + 1);
    EXPECT_EQ(end - begin, batches.steps_in_epoch(epoch));
    for (auto step = begin; step < end; ++step) {
      const auto rows = batches.rows(step);
      EXPECT_EQ(rows.epoch, epoch);
      EXPECT_TRUE(rows.count == 8 || (step == end - 1 && rows.count > 0));
      for (std::int64_t i = 0; i < rows.count; ++i) seen.insert(rows.row(i).begin(), rows.row(i).end());
    }
    EXPECT_EQ(seen.size(), 101u);
    EXPECT_EQ(std::set(seen.begin(), seen.end()).size(), 101u);
  }
}

TEST_P(Sampling, OrderComesFromSeedAndEpochAlone) {
  const auto examples = made(50);
  const auto order = [&](std::uint64_t seed, std::int64_t epoch, std::int64_t global_batch_size) {
    auto choice = options(packing(), global_batch_size);
    choice.seed = seed;
    const Batches batches(examples, choice, kPad);
    std::vector<std::int64_t> out;
    for (auto step = batches.sampler().first_step(epoch); step < batches.sampler().first_step(epoch + 1); ++step) {
      const auto rows = batches.rows(step);
      for (std::int64_t i = 0; i < rows.count; ++i) out.insert(out.end(), rows.row(i).begin(), rows.row(i).end());
    }
    return out;
  };
  EXPECT_EQ(order(1, 2, 8), order(1, 2, 8));
  EXPECT_EQ(order(1, 2, 8), order(1, 2, 3));
  EXPECT_NE(order(1, 2, 8), order(1, 3, 8));
  EXPECT_NE(order(1, 2, 8), order(2, 2, 8));
  if (!packing()) { EXPECT_EQ(order(1, 2, 8), permutation(50, 1, 2)); }
}

TEST_P(Sampling, AnyStepCanBeAskedForFirst) {
  const auto examples = made(60);
  const Batches all(examples, options(packing()), kPad);
  for (std::int64_t step = 0; step < 30; ++step) {
    const Batches fresh(examples, options(packing()), kPad);
    const auto a = all.rows(step), b = fresh.rows(step);
    ASSERT_EQ(a.epoch, b.epoch);
    ASSERT_EQ(a.count, b.count);
    for (std::int64_t i = 0; i < a.count; ++i) ASSERT_TRUE(std::ranges::equal(a.row(i), b.row(i)));
  }
}

/// A row as (tokens, labels, positions, segments), its padding taken off.
struct PlainRow {
  std::vector<std::int64_t> tokens, labels, positions, segment_ends;
  bool operator==(const PlainRow&) const = default;
};

std::map<std::int64_t, PlainRow> rows_of_step(const Batches& batches, std::int64_t step, int ranks, std::int64_t micro_batch_size) {
  std::map<std::int64_t, PlainRow> out;
  for (int rank = 0; rank < ranks; ++rank)
    for (const auto& batch : batches.micro_batches(step, rank, ranks, micro_batch_size)) {
      EXPECT_LE(batch.rows(), micro_batch_size);
      for (std::int64_t r = 0; r < batch.rows(); ++r) {
        PlainRow row;
        for (const auto& segment : batch.segments)
          if (segment.row == r) row.segment_ends.push_back(segment.end);
        const auto end = row.segment_ends.back();
        row.tokens = values(batch.tokens_bt[r].slice(0, 0, end));
        row.labels = values(batch.labels_bt[r].slice(0, 0, end));
        row.positions = values(batch.positions_bt[r].slice(0, 0, end));
        EXPECT_TRUE(out.emplace(batch.row_ids[static_cast<std::size_t>(r)], row).second) << "row dealt out twice";
      }
    }
  return out;
}

TEST_P(Sampling, RowsDoNotDependOnRanksOrMicroBatches) {
  const auto examples = made(45);
  const Batches batches(examples, options(packing(), 7), kPad);
  for (std::int64_t step = 0; step < batches.sampler().first_step(2); ++step) {
    const auto whole = rows_of_step(batches, step, 1, 100);
    ASSERT_EQ(static_cast<std::int64_t>(whole.size()), batches.rows(step).count);
    ASSERT_EQ(whole.rbegin()->first, batches.rows(step).count - 1);
    for (int ranks = 1; ranks <= 4; ++ranks)
      for (std::int64_t micro = 1; micro <= 5; ++micro) ASSERT_EQ(rows_of_step(batches, step, ranks, micro), whole) << ranks << " " << micro;
  }
}

TEST_P(Sampling, EveryRankKnowsTheGlobalTokenCount) {
  const auto examples = made(45);
  const Batches batches(examples, options(packing(), 7), kPad);
  for (std::int64_t step = 0; step < 10; ++step) {
    std::int64_t supervised = 0, labels = 0;
    for (int rank = 0; rank < 3; ++rank)
      for (const auto& batch : batches.micro_batches(step, rank, 3, 2)) {
        if (batch.rows() == 0) continue;
        supervised += batch.supervised_tokens;
        labels += batch.labels_bt.ne(kIgnoreLabel).sum().item<std::int64_t>();
      }
    EXPECT_EQ(supervised, batches.rows(step).supervised_tokens);
    EXPECT_EQ(labels, batches.rows(step).supervised_tokens);
  }
}

// The tokens name their example, so every field of a batch follows from them.
TEST_P(Sampling, BatchesSayWhatTheirTokensAre) {
  const auto examples = made(80);
  const Batches batches(examples, options(packing()), kPad);
  for (std::int64_t step = 0; step < batches.sampler().first_step(1); ++step)
    for (const auto& batch : batches.micro_batches(step, 0, 2, 3)) {
      if (batch.rows() == 0) continue;
      ASSERT_LE(batch.length(), kMaxTokens);
      auto covered = at::zeros_like(batch.tokens_bt);
      bool longest_is_full = false;
      for (const auto& s : batch.segments) {
        const auto& example = examples.at(static_cast<std::size_t>(batch.tokens_bt[s.row][s.begin].item<std::int64_t>() / 1000 - 1));
        ASSERT_EQ(s.length(), example.length());
        EXPECT_EQ(batch.labels_bt[s.row][s.begin].item<std::int64_t>(), kIgnoreLabel);
        for (std::int64_t t = 0; t < s.length(); ++t) {
          const auto token = example.tokens[static_cast<std::size_t>(t)];
          ASSERT_EQ(batch.tokens_bt[s.row][s.begin + t].item<std::int64_t>(), token);
          ASSERT_EQ(batch.positions_bt[s.row][s.begin + t].item<std::int64_t>(), t);
          ASSERT_EQ(batch.labels_bt[s.row][s.begin + t].item<std::int64_t>(), example.supervised[static_cast<std::size_t>(t)] ? token : kIgnoreLabel);
        }
        covered[s.row].slice(0, s.begin, s.end) += 1;
        longest_is_full |= s.end == batch.length();
      }
      EXPECT_TRUE(longest_is_full) << "padded beyond the longest row";
      EXPECT_LE(covered.max().item<std::int64_t>(), 1) << "segments overlap";
      const auto padding = covered.eq(0);
      EXPECT_TRUE(batch.tokens_bt.masked_select(padding).eq(kPad).all().item<bool>());
      EXPECT_TRUE(batch.labels_bt.masked_select(padding).eq(kIgnoreLabel).all().item<bool>());
      if (!packing()) { EXPECT_EQ(static_cast<std::int64_t>(batch.segments.size()), batch.rows()); }
    }
}

INSTANTIATE_TEST_SUITE_P(PackedAndPadded, Sampling, testing::Bool(), [](const auto& info) { return info.param ? "Packed" : "Padded"; });

TEST(Ranks, ShareRowsEvenlyAndInOrder) {
  for (std::int64_t count = 0; count < 12; ++count)
    for (int ranks = 1; ranks < 6; ++ranks) {
      std::int64_t next = 0;
      for (int rank = 0; rank < ranks; ++rank) {
        const auto mine = rows_of_rank(count, rank, ranks);
        EXPECT_EQ(mine.begin, next);
        EXPECT_GE(mine.size(), count / ranks);
        EXPECT_LE(mine.size(), (count + ranks - 1) / ranks);
        next = mine.end;
      }
      EXPECT_EQ(next, count);
    }
}

TEST(Ranks, MayGetNoRow) {
  const auto examples = made(2);
  const Batches batches(examples, options(false, 2), kPad);
  std::size_t empty = 0;
  for (int rank = 0; rank < 3; ++rank) {
    const auto mine = batches.micro_batches(0, rank, 3, 1);
    ASSERT_EQ(mine.size(), 1u);
    empty += mine[0].rows() == 0;
  }
  EXPECT_EQ(empty, 1u);
}

TEST(Order, AsGivenForEvaluation) {
  const auto examples = made(10);
  auto choice = options(false, 4);
  choice.order = Order::kAsGiven;
  const Batches batches(examples, choice, kPad);
  EXPECT_EQ(batches.steps_in_epoch(0), 3);
  EXPECT_EQ(batches.rows(0).row(0)[0], 0);
  EXPECT_EQ(batches.rows(2).row(1)[0], 9);
  EXPECT_EQ(batches.rows(2).count, 2);
}

TEST(Batches, RefusesNonsense) {
  const auto examples = made(3);
  EXPECT_THROW(Batches({}, options(false), kPad), DataError);
  EXPECT_THROW(Batches(examples, options(false, 0), kPad), ConfigError);
  EXPECT_THROW(Batches(examples, options(false), kPad).micro_batches(0, 0, 1, 0), ConfigError);
}

}  // namespace
}  // namespace herd
