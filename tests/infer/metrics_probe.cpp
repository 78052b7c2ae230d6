// herd's metrics on stdin and stdout, for comparison with their reference implementations. One JSON line a request, {"ask": NAME, …}; the
// names are below. An error is {"error": …}.
#include <functional>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>

#include "infer/metrics/bleu.h"
#include "infer/metrics/distinct.h"
#include "infer/metrics/rouge.h"

namespace {

using namespace herd;
using Json = nlohmann::json;

const std::map<std::string, TextTokens> kTextTokens{{"words", TextTokens::kWords}, {"characters", TextTokens::kCharacters}, {"language", TextTokens::kByLanguage}};
const std::map<std::string, BleuTokens> kBleuTokens{{"13a", BleuTokens::k13a}, {"zh", BleuTokens::kZh}, {"language", BleuTokens::kByLanguage}};

Json numbers(const Overlap& overlap) { return {overlap.precision, overlap.recall, overlap.f}; }
Json numbers(const BleuStats& stats, BleuMean mean) {
  const auto found = bleu(stats, mean);
  return {{"score", found.score}, {"precisions", found.precisions}, {"brevity_penalty", found.brevity_penalty},
          {"lengths", {stats.answer_tokens, stats.reference_tokens}}, {"matches", stats.matches}, {"totals", stats.totals}};
}

Json rouge(const Json& request) {
  const auto scores = herd::rouge(request["reference"].get<std::string>(), request["answer"].get<std::string>(), kTextTokens.at(request["tokens"]));
  return {numbers(scores.rouge_1), numbers(scores.rouge_2), numbers(scores.rouge_l)};
}

/// The sentence scores of all answers, and that of the corpus.
Json bleu(const Json& request) {
  BleuStats corpus;
  auto sentences = Json::array();
  for (const auto& item : request["items"]) {
    const auto stats = bleu_stats(item[0].get<std::string>(), item[1].get<std::vector<std::string>>(), kBleuTokens.at(request["tokens"]));
    sentences.push_back(numbers(stats, BleuMean::kEffective));
    corpus += stats;
  }
  return {{"sentences", sentences}, {"corpus", numbers(corpus, BleuMean::kFour)}};
}

Json distinct(const Json& request) {
  Distinct counter(request["n"]);
  for (const auto& answer : request["answers"]) counter.add(answer.get<std::string>(), kTextTokens.at(request["tokens"]));
  return {counter.different(), counter.total(), counter.value()};
}

const std::map<std::string, std::function<Json(const Json&)>> kAsks{
    {"rouge", rouge},
    {"bleu", bleu},
    {"distinct", distinct},
};

}  // namespace

int main() {
  std::ios::sync_with_stdio(false);
  for (std::string line; std::getline(std::cin, line);) {
    Json reply;
    try {
      const auto request = Json::parse(line);
      reply = kAsks.at(request["ask"])(request);
    } catch (const std::exception& error) {
      reply = {{"error", error.what()}};
    }
    std::cout << reply.dump() << '\n' << std::flush;
  }
}
