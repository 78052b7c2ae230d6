// A model that ranks hold in parts answers as one that is whole, whatever each rank has to answer.
#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "infer/answer_share.h"
#include "infer/shared_model.h"
#include "parallel/comm/threads.h"
#include "peft/registry.h"
#include "tests/support/letters.h"
#include "tests/support/toy_model.h"

namespace herd::test {
namespace {

std::vector<Request> requests() {
  std::vector<Request> out;
  Random random(5, 0);
  for (std::size_t i = 0; i < 7; ++i) {
    Request request{.prompt = {}, .options = {.max_new_tokens = static_cast<std::int64_t>(3 + 5 * (i % 3))}};
    for (std::uint64_t n = 0; n < 2 + 9 * (i % 4); ++n) request.prompt.ids.push_back(static_cast<TokenId>(random.below(kToyVocab)));
    request.prompt.number = i;
    if (i == 3) request.options.beam.beams = 3;
    if (i == 4) request.options.sampling = {.temperature = 0.9, .seed = 2};
    out.push_back(std::move(request));
  }
  return out;
}

std::unique_ptr<CausalLm> model_with(const std::string& method) {
  auto model = toy_model(3);
  if (method != "none") attach(*model, {.method = method, .r = 4, .target_modules = {{"q_proj", "v_proj"}}, .num_virtual_tokens = 5}, 4);
  for_each_parameter(*model, [](const std::string&, Parameter& p) { p.trainable = false, p.value.set_requires_grad(false); });
  return model;
}

TEST(SharedModel, AnswersAsAWholeOneOnAnyNumberOfRanks) {
  const Letters letters;
  const EngineOptions options{.batch_size = 3, .prefill_chunk = 8};
  for (const std::string method : {"none", "prompt", "prefix"}) {
    const auto whole = model_with(method);
    Engine engine(*whole, letters, {4}, options);
    const auto expected = generate(engine, requests());
    for (const int ranks : {1, 2, 3}) {
      std::vector<Generation> found(expected.size());
      std::vector<std::int64_t> held(static_cast<std::size_t>(ranks));
      run_threads(ranks, [&](Communicator& c) {
        const auto model = model_with(method);
        const auto strategy = strategies().at("zero3").make({*model, c, {}});
        SharedModel shared(*strategy, c);
        Engine engine(*model, letters, {4}, options, {}, [&](const Batch& batch, KvCache& cache) { return shared.next_logits(batch, cache); });
        std::vector<Request> mine;
        const auto all = requests();
        for (std::size_t i = 0; i < all.size(); ++i)
          if (i * i % static_cast<std::size_t>(ranks) == static_cast<std::size_t>(c.rank())) mine.push_back(all[i]);  // unlike numbers of them
        for (auto& request : mine) request.on_done = [&found, i = *request.prompt.number](const Generation& g) { found[i] = g; };
        generate(engine, mine);
        shared.finish();
        held[static_cast<std::size_t>(c.rank())] = strategy->resident().parameters;
      });
      for (std::size_t i = 0; i < expected.size(); ++i) {
        EXPECT_EQ(found[i].ids, expected[i].ids) << method << ", " << ranks << " ranks, text " << i;
        EXPECT_EQ(found[i].text, expected[i].text);
      }
      std::int64_t bytes = 0;
      for_each_parameter(*whole, [&](const std::string&, Parameter& p) { bytes += static_cast<std::int64_t>(p.value.nbytes()); });
      for (const auto rank : held) EXPECT_LT(rank, bytes / ranks + bytes / 20) << "each keeps its part alone";
    }
  }
}

// One rank's last step has two passes, of a text that ends and of one that ends with its first word; the other, which only takes part, has heard of the last round after
// the first of them. The round that the first then hears of is one in which nobody had ended.
TEST(SharedModel, RanksThatHearOfEachOtherAtOtherTimesEndTogether) {
  const Letters letters;
  std::vector<std::size_t> answered;
  run_threads(2, [&](Communicator& c) {
    const auto model = toy_model(3);
    const auto passes = c.split(0, c.rank());
    const auto strategy = strategies().at("zero3").make({*model, *passes, {}});
    SharedModel shared(*strategy, *passes);
    Engine engine(*model, letters, {}, {.batch_size = 1}, {}, [&](const Batch& batch, KvCache& cache) { return shared.next_logits(batch, cache); });
    const bool asks = c.rank() == 0;
    const auto stop = answer_share(engine, 2, c,
                                   {.share = asks ? std::vector<std::size_t>{0, 1} : std::vector<std::size_t>(),
                                    .request = [](std::size_t i) { return Request{.prompt = {.ids = {1, 2}}, .options = {.max_new_tokens = i == 0 ? 2 : 1}}; },
                                    .store = [&](std::size_t i, const Generation&) { answered.push_back(i); },
                                    .signal = [asks] { return std::this_thread::sleep_for(std::chrono::milliseconds(asks ? 0 : 50)), Signal::none; },
                                    .told = [](std::int64_t, std::int64_t) {},
                                    .take_part = [&] { return shared.take_part(); }});
    EXPECT_EQ(stop, Signal::none);
  });
  EXPECT_EQ(answered, (std::vector<std::size_t>{0, 1}));
}

}  // namespace
}  // namespace herd::test
