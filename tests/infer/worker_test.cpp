// The engine on its own thread: jobs from others in turn, cancelled, refused, and what becomes of them where it stalls or fails.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>
#include <thread>

#include "infer/engine.h"
#include "infer/scorer.h"
#include "infer/server/api_error.h"
#include "infer/server/worker.h"
#include "tests/support/errors.h"
#include "tests/support/letters.h"

namespace herd::test {
namespace {
using testing::AllOf;
using testing::Each;
using testing::HasSubstr;
using testing::Not;
using namespace std::chrono_literals;

/// Where the engine's thread waits while the test says so, or ends with an error: called by the engine for each text.
class Gate {
 public:
  void pass() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return open_; });
    if (broken_) throw std::runtime_error("the device is lost");
  }
  void set(bool open, bool broken = false) {
    const std::scoped_lock lock(mutex_);
    open_ = open, broken_ = broken;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = true, broken_ = false;
};

class WorkerTest : public testing::Test {
 protected:
  static constexpr std::int64_t kSideBySide = 2, kQueue = 3, kChunk = 8;

  WorkerTest() {
    start();
    wait_for([&] { return worker_->health() == Worker::Health::kReady; });
  }
  ~WorkerTest() override {
    gate_.set(true);
    worker_.reset();
  }
  void start() {
    const auto use = [this](auto) {
      made_when_scoring_.push_back(made());
      gate_.pass();
    };
    worker_ = std::make_unique<Worker>(engine_, *model_, use, WorkerOptions{.queue = kQueue, .side_by_side = kSideBySide, .prefill_chunk = kChunk, .stall_s = 0.2}, metrics_);
  }

  static void wait_for(const std::function<bool()>& what) {
    for (int i = 0; i < 1000 && !what(); ++i) std::this_thread::sleep_for(10ms);
    ASSERT_TRUE(what());
  }
  static Request text(std::vector<TokenId> ids = {1, 2, 3}, std::int64_t tokens = 5) { return {.prompt = {.ids = std::move(ids), .number = 0}, .options = {.max_new_tokens = tokens}}; }
  std::shared_ptr<TextJob> submit(std::vector<Request> texts = {text()}) { return worker_->submit(std::move(texts), std::nullopt, true); }
  static std::vector<TextEvent> all(TextJob& job) {
    std::vector<TextEvent> events;
    for (bool ended = false; !ended;) {
      auto news = job.wait(TextJob::Clock::now() + 10s);
      if (news.events.empty() && !news.accepted) return events;
      ended = news.ended;
      std::ranges::move(news.events, std::back_inserter(events));
    }
    return events;
  }
  static std::vector<TokenId> ids_of(const std::vector<TextEvent>& events, std::size_t text) {
    std::vector<TokenId> ids;
    for (const auto& event : events)
      if (event.text == text) ids.insert(ids.end(), event.ids.begin(), event.ids.end());
    return ids;
  }
  /// Tokens so far, of all texts.
  int made() const {
    const auto text = metrics_.text({});
    const std::string name = "\nherd_generated_tokens_total ";
    return std::stoi(text.substr(text.find(name) + name.size()));
  }
  std::vector<TokenId> alone(const Request& request) {
    Engine engine(*reference_, letters_, {}, {});
    return generate(engine, {request}).front().ids;
  }

  Letters letters_;
  std::unique_ptr<CausalLm> model_ = toy_model(), reference_ = toy_model();
  Gate gate_;
  Engine engine_{*model_, letters_, {}, {.batch_size = kSideBySide}, [this](auto) { gate_.pass(); }};
  ServerMetrics metrics_;
  std::vector<int> made_when_scoring_;  // each time that prompts are scored; the engine's thread's
  std::unique_ptr<Worker> worker_;
};

TEST_F(WorkerTest, EveryTextOfEveryJobIsTheEnginesOwn) {
  std::vector<std::shared_ptr<TextJob>> jobs;
  for (TokenId i = 0; i < kQueue; ++i) jobs.push_back(submit({text({i, 2}), text({i, 3}), text({i, 4})}));
  for (TokenId i = 0; i < kQueue; ++i) {
    const auto events = all(*jobs[static_cast<std::size_t>(i)]);
    for (TokenId j = 0; j < 3; ++j) {
      EXPECT_EQ(ids_of(events, static_cast<std::size_t>(j)), alone(text({i, 2 + j})));
      EXPECT_EQ(events.back().finish, FinishReason::kLength);
    }
  }
  wait_for([&] { return worker_->idle(); });
}

TEST_F(WorkerTest, AFullQueueRefuses) {
  gate_.set(false);
  for (int i = 0; i < kQueue; ++i) submit();
  try {
    submit();
    FAIL();
  } catch (const ApiError& error) {
    EXPECT_EQ(error.status(), 429);
  }
  gate_.set(true);
  wait_for([&] { return worker_->idle(); });
  EXPECT_EQ(ids_of(all(*submit()), 0).size(), 5u);
}

TEST_F(WorkerTest, WhatIsWrongIsToldToItsJobAlone) {
  const auto wrong = submit({text(), text({1, 99})}), right = submit();
  EXPECT_THAT(message_of<DataError>([&] { all(*wrong); }), HasSubstr("99"));
  EXPECT_EQ(ids_of(all(*right), 0), alone(text()));
}

TEST_F(WorkerTest, ACancelledJobLeavesTheEngine) {
  const auto job = submit({text({1}, 60), text({2}, 60), text({3}, 60)});
  job->wait(TextJob::Clock::now() + 10s);
  job->cancel();
  wait_for([&] { return worker_->idle() && worker_->growing() == 0; });
  EXPECT_EQ(ids_of(all(*submit()), 0), alone(text()));
}

TEST_F(WorkerTest, AStepThatTakesTooLongIsAStall) {
  gate_.set(false);
  const auto job = submit();
  EXPECT_EQ(worker_->health(), Worker::Health::kReady);
  wait_for([&] { return worker_->health() == Worker::Health::kStalled; });
  gate_.set(true);
  EXPECT_EQ(ids_of(all(*job), 0), alone(text()));
  wait_for([&] { return worker_->health() == Worker::Health::kReady; });
  std::this_thread::sleep_for(300ms);
  EXPECT_EQ(worker_->health(), Worker::Health::kReady) << "idle is no stall";
}

TEST_F(WorkerTest, AnEngineThatFailsAnswersNoMore) {
  gate_.set(false);
  const auto job = submit(), behind = submit();
  wait_for([&] { return worker_->waiting() > 0; });
  testing::internal::CaptureStderr();
  gate_.set(true, true);
  std::vector<std::string> told;
  for (const auto& each : {job, behind}) told.push_back(message_of<std::exception>([&] { all(*each); }));
  EXPECT_EQ(worker_->health(), Worker::Health::kFailed);
  told.push_back(message_of<ApiError>([&] { submit(); }));
  EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("the device is lost"));
  EXPECT_THAT(told, Each(AllOf(HasSubstr("the engine has failed: internal error"), Not(HasSubstr("device")))));
}

TEST_F(WorkerTest, NotReadyBeforeATokenIsMade) {
  worker_.reset();
  gate_.set(false);
  start();
  std::this_thread::sleep_for(50ms);
  EXPECT_EQ(worker_->health(), Worker::Health::kStarting);
  gate_.set(true);
  wait_for([&] { return worker_->health() == Worker::Health::kReady; });
}

TEST_F(WorkerTest, JobsUnderWayAreToldOfTheEnd) {
  gate_.set(false);
  const auto job = submit({text({1}, 60)});
  std::thread opens([&] {
    std::this_thread::sleep_for(50ms);
    gate_.set(true);
  });
  worker_.reset();
  opens.join();
  EXPECT_THAT(message_of<std::exception>([&] { all(*job); }), HasSubstr("stopping"));
}

TEST_F(WorkerTest, PromptsAreScoredAsTheScorerDoes) {
  const std::vector<std::vector<TokenId>> prompts{{1, 2, 3, 4}, {5}, {6, 7}, {8, 9, 10}};
  std::vector<Request> texts;
  for (const auto& ids : prompts) texts.push_back(text(ids));
  const auto job = worker_->submit(texts, PromptScoring{.top = 2}, false);
  EXPECT_EQ(all(*job).size(), prompts.size());
  const auto& told = job->prompt_log_probs();
  ASSERT_EQ(told.size(), prompts.size());
  EXPECT_TRUE(told[1].empty());
  for (const std::size_t i : {0, 2, 3}) {
    const auto expected = score(*reference_, {prompts[i]}, 2, 1).front();
    ASSERT_EQ(told[i].size(), expected.size());
    for (std::size_t k = 0; k < expected.size(); ++k) {
      EXPECT_NEAR(told[i][k].chosen.log_prob, expected[k].chosen.log_prob, 1e-5);
      EXPECT_EQ(told[i][k].top.size(), 2u);
    }
  }
}

TEST_F(WorkerTest, OtherTextsGrowBetweenPromptsThatAreScored) {
  gate_.set(false);
  const auto growing = submit({text({1}, 60)});
  std::vector<Request> texts;
  for (TokenId i = 0; i < 6; ++i) texts.push_back(text({i, 1, 2, 3, 4}));
  const auto scored = worker_->submit(texts, PromptScoring{}, false);
  gate_.set(true);
  EXPECT_EQ(all(*scored).size(), texts.size());
  EXPECT_EQ(ids_of(all(*growing), 0).size(), 60u);
  ASSERT_EQ(made_when_scoring_.size(), 3u) << "two prompts of five tokens make a chunk of eight";
  for (std::size_t i = 1; i < made_when_scoring_.size(); ++i) EXPECT_GT(made_when_scoring_[i], made_when_scoring_[i - 1]);
}

TEST_F(WorkerTest, APromptIsScoredOnceForAllItsAnswers) {
  std::vector<Request> texts;
  for (const auto& ids : {std::vector<TokenId>{1, 2, 3, 4, 5, 6, 7, 8}, {8, 7, 6, 5, 4, 3, 2, 1}})
    for (int answer = 0; answer < 3; ++answer) texts.push_back(text(ids));
  const auto job = worker_->submit(texts, PromptScoring{.top = 0, .every = 3}, true);
  const auto events = all(*job);
  EXPECT_EQ(made_when_scoring_.size(), 2u);
  ASSERT_EQ(job->prompt_log_probs().size(), 2u);
  for (std::size_t i = 0; i < texts.size(); ++i) EXPECT_EQ(ids_of(events, i), alone(texts[i]));
  for (const std::size_t prompt : {0, 1})
    EXPECT_NEAR(job->prompt_log_probs()[prompt].back().chosen.log_prob, score(*reference_, {texts[prompt * 3].prompt.ids}, 0, 1).front().back().chosen.log_prob, 1e-5);
}

}  // namespace
}  // namespace herd::test
