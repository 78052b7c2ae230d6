// What a space of parameters holds, and how points are drawn from it.
#include "sweep/space.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "sweep/draws.h"
#include "tests/support/errors.h"
#include "tests/support/sweep_files.h"

namespace herd::sweep {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<std::string> told(const std::vector<Setting>& settings) {
  std::vector<std::string> out;
  for (const auto& setting : settings) {
    std::string text;
    for (const auto& value : setting) text += (text.empty() ? "" : " ") + value.key + "=" + to_flow(value);
    out.push_back(text);
  }
  return out;
}

class Space : public testing::Test {
 protected:
  std::vector<Axis> axes(const std::string& text) {
    file_ = test::sweep_of(scratch_, text);
    return read_space(file_.options);
  }
  std::vector<std::string> points(const std::string& text) {
    const auto space = axes(text);
    return told(draw(space, file_));
  }
  std::string refused(const std::string& text) {
    auto message = test::message_of<ConfigError>([&] { points(text); });
    const auto name = (scratch_ / "sweep.yaml").string();
    EXPECT_EQ(message.find(name), 0u) << message;
    return message.substr(std::min(name.size(), message.size()));
  }

  test::Scratch scratch_;
  SweepFile file_;
};

std::vector<double> numbers(const std::vector<Setting>& settings, const std::string& key) {
  std::vector<double> out;
  for (const auto& setting : settings)
    for (const auto& value : setting)
      if (value.key == key) out.push_back(*number_of(value));
  return out;
}

TEST_F(Space, GridIsTheProductTheLastKeyFastest) {
  EXPECT_THAT(points("parameters: {a.x: [1, 2], a.y: [p, q]}\n"), ElementsAre("a.x=1 a.y=p", "a.x=1 a.y=q", "a.x=2 a.y=p", "a.x=2 a.y=q"));
  EXPECT_THAT(points("parameters: {sets: [[a.json], [a.json, {name: b.json, weight: 0.5}]]}\n"), ElementsAre("sets=[a.json]", "sets=[a.json, {name: b.json, weight: 0.5}]"));
}

TEST_F(Space, PairedKeysGoTogether) {
  EXPECT_THAT(points("paired: [{m: [1, 2], rate: [1e-4, 2e-4]}]\nparameters: {s: [x, y]}\n"),
              ElementsAre("m=1 rate=1e-4 s=x", "m=1 rate=1e-4 s=y", "m=2 rate=2e-4 s=x", "m=2 rate=2e-4 s=y"));
}

TEST_F(Space, AConditionKeepsAParameterToItsPoints) {
  const std::string text = "parameters:\n  method: [lora, ia3, dora]\n  r: {values: [4, 8], when: {method: [lora, dora]}}\n  scale: {values: [1, 2], when: {r: 8.0, method: dora}}\n";
  EXPECT_THAT(points(text), ElementsAre("method=lora r=4", "method=lora r=8", "method=ia3", "method=dora r=4", "method=dora r=8 scale=1", "method=dora r=8 scale=2"));
}

TEST_F(Space, RangesOfAGridHaveTheirEndsToTheBit) {
  EXPECT_THAT(points("parameters: {x: {low: 1e-5, high: 1e-3, scale: log, count: 3}}\n"), ElementsAre("x=1e-05", testing::AnyOf("x=0.0001", testing::StartsWith("x=0.000099999"), testing::StartsWith("x=0.00010000"), testing::StartsWith("x=9.99")), "x=0.001"));
  EXPECT_THAT(points("parameters: {x: {low: 0, high: 1, count: 5}}\n"), ElementsAre("x=0", "x=0.25", "x=0.5", "x=0.75", "x=1"));
  EXPECT_THAT(points("parameters: {x: {low: 1, high: 3, int: true, count: 9}}\n"), ElementsAre("x=1", "x=2", "x=3"));
}

TEST_F(Space, RandomDrawsHaveTheirDistributions) {
  const auto space = axes("method: random\npoints: 4000\nseed: 3\nparameters:\n  u: {low: -1, high: 3}\n  l: {low: 1e-6, high: 1e-2, scale: log}\n  n: {low: 2, high: 5, int: true}\n  c: [a, b, c]\n");
  const auto settings = draw(space, file_);
  double sum = 0, low = 0;
  for (const auto u : numbers(settings, "u")) {
    EXPECT_TRUE(u >= -1 && u <= 3);
    sum += u;
  }
  EXPECT_NEAR(sum / 4000, 1, 4 * 4 / std::sqrt(12.0 * 4000));  // four standard errors of a uniform mean
  for (const auto l : numbers(settings, "l")) {
    EXPECT_TRUE(l >= 1e-6 && l <= 1e-2);
    low += l < 1e-4;
  }
  EXPECT_NEAR(low / 4000, 0.5, 4 * 0.5 / std::sqrt(4000.0)) << "half of the decades, half of the draws";
  std::map<double, int> counts;
  for (const auto n : numbers(settings, "n")) ++counts[n];
  ASSERT_EQ(counts.size(), 4u);
  for (const auto& [n, count] : counts) EXPECT_NEAR(count, 1000, 4 * std::sqrt(4000 * 0.25 * 0.75)) << n;
  std::set<std::string> choices;
  for (const auto& setting : settings) choices.insert(setting.back().text);
  EXPECT_THAT(choices, ElementsAre("a", "b", "c"));
}

TEST_F(Space, MorePointsAndParametersLeaveTheDrawsAsTheyAre) {
  const auto few = points("method: random\npoints: 5\nparameters: {u: {low: 0, high: 1}}\n");
  auto many = points("method: random\npoints: 9\nparameters: {a: [1, 2], u: {low: 0, high: 1}}\n");
  many.resize(5);
  for (std::size_t i = 0; i < 5; ++i) EXPECT_THAT(many[i], testing::EndsWith(few[i]));
  EXPECT_NE(points("method: random\npoints: 5\nseed: 1\nparameters: {u: {low: 0, high: 1}}\n"), few);
}

TEST_F(Space, ALatinHypercubeDrawsOnceFromEachStratumOfEachParameter) {
  const auto space = axes("method: latin\npoints: 12\nparameters:\n  u: {low: 10, high: 34}\n  l: {low: 1, high: 4096, scale: log}\n  c: [a, b, c]\n");
  const auto settings = draw(space, file_);
  std::set<int> linear, logarithmic;
  for (const auto u : numbers(settings, "u")) linear.insert(static_cast<int>((u - 10) / 2));
  for (const auto l : numbers(settings, "l")) logarithmic.insert(static_cast<int>(std::log2(l)));
  EXPECT_EQ(linear.size(), 12u);
  EXPECT_EQ(logarithmic.size(), 12u);
  std::map<std::string, int> choices;
  for (const auto& setting : settings) ++choices[setting.back().text];
  EXPECT_THAT(choices, ElementsAre(testing::Pair("a", 4), testing::Pair("b", 4), testing::Pair("c", 4)));
  std::vector<int> order_u, order_l;
  for (const auto u : numbers(settings, "u")) order_u.push_back(static_cast<int>((u - 10) / 2));
  for (const auto l : numbers(settings, "l")) order_l.push_back(static_cast<int>(std::log2(l)));
  EXPECT_NE(order_u, order_l) << "each in an order of its own";
}

TEST_F(Space, WhatIsWrongIsToldWithItsPlace) {
  EXPECT_THAT(refused("parameters:\n  a: []\n"), testing::AllOf(testing::StartsWith(":2:6: "), HasSubstr("'a' has no values")));
  EXPECT_THAT(refused("parameters:\n  a: 3\n"), testing::StartsWith(":2:6: 'a' is 3; expected a list of values"));
  EXPECT_THAT(refused("parameters:\n  a: {low: 1, hihg: 2}\n"), testing::AllOf(testing::StartsWith(":2:15: "), HasSubstr("did you mean 'high'?")));
  EXPECT_THAT(refused("parameters:\n  a: {low: 1}\n"), testing::AllOf(testing::StartsWith(":2:6: "), HasSubstr("has no 'high'")));
  EXPECT_THAT(refused("parameters:\n  a: {low: 3, high: 2, count: 2}\n"), HasSubstr("from 3 to 2"));
  EXPECT_THAT(refused("parameters:\n  a: {low: 0, high: 2, scale: log, count: 2}\n"), HasSubstr("a low above 0"));
  EXPECT_THAT(refused("parameters:\n  a: {low: 1, high: 2}\n"), HasSubstr("a range without a count"));
  EXPECT_THAT(refused("parameters:\n  a: {low: 1.5, high: 2, int: true, count: 2}\n"), HasSubstr("whole numbers"));
  EXPECT_THAT(refused("parameters:\n  a: {values: [1], when: {b: 2}}\n  b: [2]\n"), testing::AllOf(testing::StartsWith(":2:27: "), HasSubstr("no parameter before it")));
  EXPECT_THAT(refused("set: {a.b: 1}\nparameters:\n  a.b: [1]\n"), testing::AllOf(testing::StartsWith(":3:3: "), HasSubstr("given twice"), HasSubstr(":1:7")));
  EXPECT_THAT(refused("parameters:\n  a: [{b: 1}]\n  a.b: [1]\n"), HasSubstr("given twice"));
  EXPECT_THAT(refused("paired: [{a: [1, 2],\n  b: [1]}]\n"), testing::AllOf(testing::StartsWith(":2:6: "), HasSubstr("1 value; expected 2, as 'a' has")));
  EXPECT_THAT(refused("method: gird\n"), HasSubstr("did you mean 'grid'?"));
  EXPECT_THAT(refused("parametres: {}\n"), testing::AllOf(testing::StartsWith(":1:1: "), HasSubstr("did you mean 'parameters'?  (herd sweep --explain parameters)")));
  EXPECT_THAT(refused("method: random\n"), HasSubstr("a number of draws"));
  EXPECT_THAT(refused("method: asha\npoints: 3\n"), HasSubstr("'asha' is null"));
  EXPECT_THAT(refused("method: asha\npoints: 3\nasha: {least: 5, most: 5}\n"), testing::AllOf(testing::StartsWith(":3:"), HasSubstr("more steps than asha.least")));
  std::string many = "parameters:\n";
  for (int i = 0; i < 6; ++i) many += "  k" + std::to_string(i) + ": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]\n";
  EXPECT_THAT(refused(many), HasSubstr("more than 100,000 points"));
}

}  // namespace
}  // namespace herd::sweep
