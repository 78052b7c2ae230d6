// herd's metrics on stdin and stdout, for comparison with their reference implementations. One JSON line a request, {"ask": NAME, …}; the
// names are below. An error is {"error": …}.
#include <functional>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>

#include "infer/metrics/answers.h"
#include "infer/metrics/bleu.h"
#include "infer/metrics/bm25.h"
#include "infer/metrics/bootstrap.h"
#include "infer/metrics/distinct.h"
#include "infer/metrics/numbers.h"
#include "infer/metrics/rouge.h"
#include "infer/metrics/rouge_index.h"
#include "infer/metrics/scores.h"

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

using Texts = std::vector<std::string>;

Json normal(const Json& request) { return normal_answer(request["answer"].get<std::string>()); }
Json letters(const Json& request) { return choice_letters(request["answer"].get<std::string>()); }
Json word(const Json& request) { return answer_word(request["answer"].get<std::string>(), answer_format(request["instruction"].get<std::string>())); }
Json number(const Json& request) {
  const auto found = number_in(request["answer"].get<std::string>());
  return found ? Json(*found) : Json();
}

Json scores(const Json& request) {
  const auto found = confusion(request["references"].get<Texts>(), request["answers"].get<Texts>());
  const auto f1 = f1_scores(found, request["of"].get<Texts>());
  auto labels = Json::array();
  for (const auto& label : f1.labels) labels.push_back({label.precision, label.recall, label.f1, label.support});
  return {{"confusion", found.counts}, {"labels", labels}, {"macro", f1.macro}, {"micro", f1.micro}};
}

/// Of each question its score with each text.
Json bm25(const Json& request) {
  Bm25Index index;
  for (const auto& text : request["texts"]) index.add(text.get<std::string>());
  auto scores = Json::array();
  for (const auto& question : request["questions"]) scores.push_back(index.scores(question.get<std::string>()));
  return scores;
}

/// Of each text the number and score of the one that it is too like, or null.
Json rouge_index(const Json& request) {
  RougeIndex index(request["bound"]);
  auto found = Json::array();
  for (const auto& text : request["texts"]) {
    const auto like = index.earlier(text.get<std::string>());
    found.push_back(like ? Json{like->number, like->score} : Json());
  }
  return found;
}

Json bootstrap(const Json& request) {
  const BootstrapOptions options{.resamples = request["resamples"], .level = request["level"]};
  const auto a = request["a"].get<std::vector<double>>();
  const auto found = request.contains("b") ? bootstrap_difference(a, request["b"].get<std::vector<double>>(), options) : bootstrap_mean(a, options);
  return {found.mean, found.low, found.high};
}

const std::map<std::string, std::function<Json(const Json&)>> kAsks{
    {"rouge", rouge},
    {"bleu", bleu},
    {"distinct", distinct},
    {"normal", normal},
    {"letters", letters},
    {"word", word},
    {"number", number},
    {"scores", scores},
    {"bm25", bm25},
    {"rouge_index", rouge_index},
    {"bootstrap", bootstrap},
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
