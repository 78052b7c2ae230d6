#pragma once
#include <gtest/gtest.h>

#include <chrono>
#include <numeric>
#include <thread>

#include "parallel/comm/agree.h"
#include "parallel/comm/communicator.h"
#include "tests/support/errors.h"

// What every backend owes, against closed forms in rank and size. A program includes this and instantiates it for its backends.
namespace herd::test {

/// Runs a body on every rank of some backend.
struct Ranks {
  std::string name;
  std::function<void(const std::function<void(Communicator&)>&)> run;
};

inline void PrintTo(const Ranks& ranks, std::ostream* stream) { *stream << ranks.name; }

class CommunicatorContract : public testing::TestWithParam<Ranks> {
 protected:
  void on_all(const std::function<void(Communicator&)>& body) { GetParam().run(body); }
};

inline const std::vector<at::ScalarType>& dtypes() {
  static const std::vector<at::ScalarType> all{at::kFloat, at::kDouble, at::kBFloat16, at::kHalf, at::kLong, at::kInt, at::kByte};
  return all;
}
/// None, fewer than ranks, a prime, a multiple of 2, 3 and 4.
inline const std::vector<std::int64_t>& sizes() {
  static const std::vector<std::int64_t> all{0, 1, 3, 101, 1200};
  return all;
}

/// Element i of rank r: small whole numbers, exact in every dtype, different on every rank and place.
inline Tensor values(int rank, std::int64_t elements, at::ScalarType dtype) {
  return ((at::arange(elements, at::kLong) * 3 + rank * 5) % 13).to(dtype);
}
inline Tensor sum_of_values(int ranks, std::int64_t elements, at::ScalarType dtype) {
  auto sum = at::zeros({elements}, at::kLong);
  for (int r = 0; r < ranks; ++r) sum += values(r, elements, at::kLong);
  return sum.to(dtype);
}
inline Tensor slice(const Tensor& whole, int part, int parts) {
  const auto counts = even_counts(whole.numel(), parts);
  const auto before = std::accumulate(counts.begin(), counts.begin() + part, std::int64_t{0});
  return whole.narrow(0, before, counts[static_cast<std::size_t>(part)]);
}
inline void expect_equal(const Tensor& found, const Tensor& expected, const std::string& what) {
  EXPECT_TRUE(at::equal(found, expected)) << what << ": found " << found << " expected " << expected;
}
inline std::string label(const Communicator& c, std::int64_t elements, at::ScalarType dtype) {
  return "rank " + std::to_string(c.rank()) + " of " + std::to_string(c.size()) + ", " + std::to_string(elements) + " x " + c10::toString(dtype);
}
inline void over_dtypes_and_sizes(const std::function<void(at::ScalarType, std::int64_t)>& body) {
  for (auto dtype : dtypes())
    for (auto elements : sizes()) body(dtype, elements);
}

TEST_P(CommunicatorContract, AllReduceReducesInPlace) {
  on_all([](Communicator& c) {
    over_dtypes_and_sizes([&](auto dtype, auto n) {
      auto buffer = values(c.rank(), n, dtype);
      c.all_reduce(buffer).wait();
      expect_equal(buffer, sum_of_values(c.size(), n, dtype), label(c, n, dtype));
      buffer.fill_(c.rank() + 1);
      c.all_reduce(buffer, ReduceOp::kMax).wait();
      expect_equal(buffer, at::full({n}, c.size(), dtype), label(c, n, dtype));
      buffer.fill_(c.rank() + 1);
      c.all_reduce(buffer, ReduceOp::kMin).wait();
      expect_equal(buffer, at::full({n}, 1, dtype), label(c, n, dtype));
    });
    auto any = at::full({3}, c.rank() == c.size() - 1, at::kBool);
    c.all_reduce(any, ReduceOp::kMax).wait();
    expect_equal(any, at::full({3}, true, at::kBool), "any");
  });
}

TEST_P(CommunicatorContract, ReduceScatterLeavesEachRankItsPart) {
  on_all([](Communicator& c) {
    over_dtypes_and_sizes([&](auto dtype, auto n) {
      const auto input = values(c.rank(), n, dtype);
      const auto expected = slice(sum_of_values(c.size(), n, dtype), c.rank(), c.size());
      auto output = at::empty_like(expected);
      c.reduce_scatter(output, input).wait();
      expect_equal(output, expected, label(c, n, dtype));
      expect_equal(input, values(c.rank(), n, dtype), "the input");
      c.reduce_scatter(slice(input, c.rank(), c.size()), input).wait();
      expect_equal(slice(input, c.rank(), c.size()), expected, "in place, " + label(c, n, dtype));
    });
    // Everything to the last rank.
    std::vector<std::int64_t> counts(static_cast<std::size_t>(c.size()), 0);
    counts.back() = 7;
    auto output = at::empty({counts[static_cast<std::size_t>(c.rank())]}, at::kFloat);
    c.reduce_scatter(output, at::ones({7}), ReduceOp::kSum, counts).wait();
    expect_equal(output, at::full_like(output, c.size()), "uneven");
  });
}

TEST_P(CommunicatorContract, AllGatherLaysPartsSideBySide) {
  on_all([](Communicator& c) {
    over_dtypes_and_sizes([&](auto dtype, auto n) {
      const auto expected = values(0, n, dtype);
      auto output = at::zeros({n}, dtype);
      c.all_gather(output, slice(expected, c.rank(), c.size())).wait();
      expect_equal(output, expected, label(c, n, dtype));
      auto in_place = at::zeros({n}, dtype);
      slice(in_place, c.rank(), c.size()).copy_(slice(expected, c.rank(), c.size()));
      c.all_gather(in_place, slice(in_place, c.rank(), c.size())).wait();
      expect_equal(in_place, expected, "in place, " + label(c, n, dtype));
    });
    // Rank r brings r elements of value r.
    std::vector<std::int64_t> counts;
    std::vector<std::int64_t> expected;
    for (int r = 0; r < c.size(); ++r) {
      counts.push_back(r);
      expected.insert(expected.end(), static_cast<std::size_t>(r), r);
    }
    auto output = at::empty({static_cast<std::int64_t>(expected.size())}, at::kLong);
    c.all_gather(output, at::full({c.rank()}, c.rank(), at::kLong), counts).wait();
    expect_equal(output, at::tensor(expected, at::kLong), "uneven");
  });
}

TEST_P(CommunicatorContract, BroadcastCopiesFromEachRoot) {
  on_all([](Communicator& c) {
    over_dtypes_and_sizes([&](auto dtype, auto n) {
      for (int root = 0; root < c.size(); ++root) {
        auto buffer = values(c.rank(), n, dtype);
        c.broadcast(buffer, root).wait();
        expect_equal(buffer, values(root, n, dtype), label(c, n, dtype));
      }
    });
  });
}

TEST_P(CommunicatorContract, AllToAllTransposes) {
  on_all([](Communicator& c) {
    for (auto dtype : dtypes()) {
      // Rank s sends (s + 2·d) % 4 elements of value 10·s + d to rank d.
      const auto count = [](int s, int d) { return std::int64_t{(s + 2 * d) % 4}; };
      std::vector<std::int64_t> send, receive;
      std::vector<Tensor> input, expected;
      for (int r = 0; r < c.size(); ++r) {
        send.push_back(count(c.rank(), r));
        receive.push_back(count(r, c.rank()));
        input.push_back(at::full({send.back()}, 10 * c.rank() + r, dtype));
        expected.push_back(at::full({receive.back()}, 10 * r + c.rank(), dtype));
      }
      auto output = at::empty_like(at::cat(expected));
      c.all_to_all(output, at::cat(input), send, receive).wait();
      expect_equal(output, at::cat(expected), c10::toString(dtype));
    }
    auto output = at::empty({2 * c.size()}, at::kInt);
    c.all_to_all(output, at::full({2 * c.size()}, c.rank(), at::kInt)).wait();
    expect_equal(output, at::arange(c.size(), at::kInt).repeat_interleave(2), "equal parts");
  });
}

TEST_P(CommunicatorContract, LowPrecisionSumsInRankOrderInFp32AndRoundsOnce) {
  on_all([](Communicator& c) {
    for (auto dtype : {at::kBFloat16, at::kHalf, at::kFloat}) {
      // Values whose sum depends on order and on intermediate rounding.
      const auto of = [&](int rank) {
        return (at::sin(at::arange(4096, at::kFloat) * (0.37 + rank)) * at::pow(at::full({}, 10.0f), at::arange(4096, at::kFloat) % 4)).to(dtype);
      };
      auto expected = of(0).to(at::kFloat);
      for (int r = 1; r < c.size(); ++r) expected = expected + of(r).to(at::kFloat);
      auto buffer = of(c.rank());
      c.all_reduce(buffer).wait();
      expect_equal(buffer, expected.to(dtype), c10::toString(dtype));
      // The same bits when the buffer is cut into operations.
      auto pieces = of(c.rank());
      std::vector<Work> works;
      for (std::int64_t at = 0, n = 1; at < 4096; at += n, n = std::min<std::int64_t>(2 * n + 1, 4096 - at))
        works.push_back(c.all_reduce(pieces.narrow(0, at, std::min(n, 4096 - at))));
      for (auto& work : works) work.wait();
      expect_equal(pieces, buffer, "in pieces");
    }
  });
}

TEST_P(CommunicatorContract, ManyOperationsAreUnderWayAtOnce) {
  on_all([](Communicator& c) {
    std::vector<Tensor> sums, gathers;
    std::vector<Work> works;
    for (int i = 0; i < 20; ++i) {
      sums.push_back(at::full({i * 7}, c.rank() + i, at::kLong));
      gathers.push_back(at::empty({c.size()}, at::kInt));
      works.push_back(c.all_reduce(sums.back()));
      works.push_back(c.barrier());
      works.push_back(c.all_gather(gathers.back(), at::full({1}, c.rank() * i, at::kInt)));
    }
    std::reverse(works.begin(), works.end());
    for (auto& work : works) work.wait();
    for (int i = 0; i < 20; ++i) {
      expect_equal(sums[static_cast<std::size_t>(i)], at::full({i * 7}, c.size() * (c.size() - 1) / 2 + i * c.size(), at::kLong), "sum");
      expect_equal(gathers[static_cast<std::size_t>(i)], at::arange(c.size(), at::kInt) * i, "gather");
    }
    for (auto& work : works) EXPECT_TRUE(work.done());
    EXPECT_EQ(c.stats()[CommKind::kBarrier].calls, 20u);
    EXPECT_EQ(c.stats()[CommKind::kAllReduce].bytes, 8u * 7 * 190);
    // Where wait() orders a device's queue, the count follows a moment later.
    for (int i = 0; i < 5000 && c.stats().done < 60; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    EXPECT_EQ(c.stats().done, 60u);
  });
}

TEST_P(CommunicatorContract, SplitGroupsByColorAndOrdersByKey) {
  on_all([](Communicator& c) {
    auto parity = c.split(c.rank() % 2, -c.rank());  // reversed order
    const int members = (c.size() + 1 - c.rank() % 2) / 2;
    ASSERT_TRUE(parity);
    EXPECT_EQ(parity->size(), members);
    EXPECT_EQ(parity->rank(), members - 1 - c.rank() / 2);
    auto ranks = at::empty({members}, at::kLong);
    parity->all_gather(ranks, at::full({1}, c.rank(), at::kLong)).wait();
    expect_equal(ranks, (at::arange(members, at::kLong) * 2 + c.rank() % 2).flip(0), "members");
    // Both groups at once, and the whole beside them.
    auto part = at::full({5}, c.rank() + 1, at::kLong), whole = part.clone();
    auto one = parity->all_reduce(part), two = c.all_reduce(whole);
    one.wait();
    two.wait();
    expect_equal(part, at::full({5}, ranks.sum().template item<std::int64_t>() + members, at::kLong), "part");
    expect_equal(whole, at::full({5}, c.size() * (c.size() + 1) / 2, at::kLong), "whole");
    auto alone = c.split(c.rank() == 0 ? 0 : -1, 0);
    EXPECT_EQ(alone != nullptr, c.rank() == 0);
  });
}

TEST_P(CommunicatorContract, StringsTravel) {
  on_all([](Communicator& c) {
    const auto texts = all_gather_string(c, std::string(static_cast<std::size_t>(c.rank() * 3), 'a'));
    for (int r = 0; r < c.size(); ++r) EXPECT_EQ(texts[static_cast<std::size_t>(r)], std::string(static_cast<std::size_t>(r * 3), 'a'));
    EXPECT_EQ(broadcast_string(c, c.rank() == c.size() - 1 ? "吃了吗\0?" : "", c.size() - 1), "吃了吗\0?");
  });
}

TEST_P(CommunicatorContract, ErrorsAreAgreedOn) {
  on_all([](Communicator& c) {
    EXPECT_EQ(agree(c, [&] { return c.rank() * 2; }), c.rank() * 2);
    const int last = c.size() - 1;
    try {
      agree(c, [&] {
        if (c.rank() == last) throw DataError({.who = "a.json:7", .found = "broken", .expected = "a record", .remedy = "mend it"});
      });
      ADD_FAILURE() << "rank " << c.rank() << " went on";
    } catch (const DataError& e) {
      EXPECT_EQ(e.complaint().who, (last ? "rank " + std::to_string(last) + ": " : "") + "a.json:7");
      EXPECT_EQ(e.complaint().remedy, "mend it");
    }
    // The same words everywhere need no rank; a foreign exception arrives as Error; a CommError is never the first cause.
    EXPECT_EQ(message_of<ConfigError>([&] { agree(c, [] { throw ConfigError({.who = "recipe"}); }); }), "recipe");
    const auto foreign = [&] {
      if (c.rank() != last) throw CommError({.who = "late"});
      throw std::runtime_error("foreign");
    };
    EXPECT_EQ(message_of<Error>([&] { agree(c, foreign); }), (last ? "rank " + std::to_string(last) + ": " : "") + "foreign");
    c.barrier().wait();  // still in use
  });
}

TEST_P(CommunicatorContract, WrongBuffersAreRefusedBeforeAnythingMoves) {
  on_all([](Communicator& c) {
    EXPECT_THROW(auto w = c.all_reduce(at::ones({4, 4}).t()), ShapeError);
    EXPECT_THROW(auto w = c.all_reduce(at::ones({4}, at::kShort)), ShapeError);
    EXPECT_THROW(auto w = c.all_reduce(at::ones({4}, at::kBool)), ShapeError);
    EXPECT_THROW(auto w = c.all_reduce(Tensor()), ShapeError);
    EXPECT_THROW(auto w = c.broadcast(at::ones({4}), c.size()), ShapeError);
    EXPECT_THROW(auto w = c.all_gather(at::ones({4 * c.size()}), at::ones({5})), ShapeError);
    EXPECT_THROW(auto w = c.all_gather(at::ones({c.size()}), at::ones({1}, at::kDouble)), ShapeError);
    EXPECT_THROW(auto w = c.reduce_scatter(at::ones({1}), at::ones({c.size()}), ReduceOp::kSum, {1, 1, 1, 1, 1, 1, 1}), ShapeError);
    c.barrier().wait();
  });
}

}  // namespace herd::test
