// What herd makes of a row of scores, for comparison with other implementations. Each line of stdin is a JSON object: `scores`; `prompt` and
// `answer`, the ids so far; `ends`, ids that end a text; `least` and the options by name, null for −infinity. Its line of stdout has
// `scores` after the processors, `kept`, pairs of id and probability, and, where `draws` are asked for, how often each id was drawn.
#include <iostream>
#include <limits>
#include <nlohmann/json.hpp>

#include "infer/logits_processors.h"
#include "infer/sampler.h"

namespace {

using nlohmann::json;
using namespace herd;

double number(const json& value) { return value.is_null() ? -std::numeric_limits<double>::infinity() : value.get<double>(); }
json value(double number) { return std::isinf(number) ? json() : json(number); }

SamplingOptions options(const json& line) {
  SamplingOptions o;
  for (const auto& [ids, bias] : line.value("logit_bias", std::vector<std::pair<std::vector<TokenId>, json>>()))
    o.logit_bias.push_back({ids, number(bias)});
  o.repetition_penalty = line.value("repetition_penalty", o.repetition_penalty);
  o.frequency_penalty = line.value("frequency_penalty", o.frequency_penalty);
  o.presence_penalty = line.value("presence_penalty", o.presence_penalty);
  o.no_repeat_ngram = line.value("no_repeat_ngram", o.no_repeat_ngram);
  o.bad_words = line.value("bad_words", o.bad_words);
  o.min_new_tokens = line.value("min_new_tokens", o.min_new_tokens);
  o.temperature = line.value("temperature", o.temperature);
  o.top_k = line.value("top_k", o.top_k);
  o.top_p = line.value("top_p", o.top_p);
  o.min_p = line.value("min_p", o.min_p);
  o.typical_p = line.value("typical_p", o.typical_p);
  o.seed = line.value("seed", o.seed);
  return o;
}

json answer(const json& line) {
  using Ids = std::vector<TokenId>;
  std::vector<float> scores;
  for (const auto& score : line.at("scores")) scores.push_back(static_cast<float>(number(score)));
  const auto o = options(line);
  const LogitsProcessors processors(o, line.value("ends", Ids()), static_cast<std::int64_t>(scores.size()));
  processors.apply(scores, line.value("prompt", Ids()), line.value("answer", Ids()));
  json out{{"scores", json::array()}, {"kept", json::array()}, {"drawn", std::vector<int>(scores.size())}};
  for (const auto score : scores) out["scores"].push_back(value(score));
  TokenSampler sampler(o, line.value("least", std::size_t{1}));
  for (const auto& [id, probability] : sampler.distribution(scores)) out["kept"].push_back({id, probability});
  for (std::uint64_t i = 0; i < line.value("draws", std::uint64_t{0}); ++i) {
    auto& count = out["drawn"][static_cast<std::size_t>(sampler.pick(scores, 0, i))];
    count = count.get<int>() + 1;
  }
  return out;
}

}  // namespace

int main() {
  for (std::string line; std::getline(std::cin, line);) std::cout << answer(json::parse(line)) << '\n';
}
