#include "infer/server/worker.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>

#include "infer/engine.h"
#include "infer/scorer.h"
#include "infer/server/api_error.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"
#include "runtime/base/thread.h"

namespace herd {
namespace {

std::int64_t now_ms() { return std::chrono::duration_cast<std::chrono::milliseconds>(TextJob::Clock::now().time_since_epoch()).count(); }

ApiError stopped() { return {503, "the server is stopping"}; }

}  // namespace

/// A job, and how far the engine is with it.
struct Worker::Task {
  std::shared_ptr<TextJob> job;
  bool checked = false;
  std::size_t next = 0, ended = 0;  // texts begun, and ended
  std::vector<Engine::Id> ids{};    // of the begun ones
  std::vector<std::size_t> told{};  // of each text: tokens that events have told
  std::vector<std::vector<LogProbs>> scores{};  // of the prompts that are scored
  std::size_t scored = 0;
};

Worker::Worker(Engine& engine, CausalLm& model, std::function<void(std::optional<std::size_t>)> use_adapter, WorkerOptions options, ServerMetrics& metrics)
    : engine_(engine), model_(model), use_adapter_(std::move(use_adapter)), options_(options), metrics_(metrics) {
  thread_ = background_thread("engine", [this] { run(); });
}

Worker::~Worker() {
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  thread_.join();
}

std::shared_ptr<TextJob> Worker::submit(std::vector<Request> texts, std::optional<PromptScoring> scoring, bool generates) {
  const auto task = std::make_shared<Task>();
  task->told.resize(texts.size());
  task->job = std::make_shared<TextJob>(std::move(texts), scoring, generates);
  const std::scoped_lock lock(mutex_);
  if (!failure_.empty()) throw ApiError(503, "the engine has failed: " + failure_);
  if (std::ssize(queue_) >= options_.queue)
    throw ApiError(429, fmt::format("{} requests wait already, as many as may (--queue); try again later", queue_.size()), "", "rate_limit_exceeded");
  queue_.push_back(task);
  changed_.notify_all();
  return task->job;
}

Worker::Health Worker::health() const {
  {
    const std::scoped_lock lock(mutex_);
    if (!failure_.empty()) return Health::kFailed;
  }
  const auto began = step_began_ms_.load();
  if (began != 0 && static_cast<double>(now_ms() - began) > options_.stall_s * 1000) return Health::kStalled;
  return ready_ ? Health::kReady : Health::kStarting;
}

std::string Worker::failure() const {
  const std::scoped_lock lock(mutex_);
  return failure_;
}

std::int64_t Worker::waiting() const {
  const std::scoped_lock lock(mutex_);
  return std::ssize(queue_);
}

bool Worker::idle() const {
  const std::scoped_lock lock(mutex_);
  return queue_.empty() && begun_.empty();
}

void Worker::run() {
  at::init_num_threads();  // a thread's own setting in OpenMP
  try {
    warm_up();
    while (wait_for_work()) work();
    fail_all(std::make_exception_ptr(stopped()));
  } catch (const std::exception& error) {
    const std::string told = internal_error(error).what();
    log_warning("the engine has failed, and answers no more");
    const std::scoped_lock lock(mutex_);
    failure_ = told;
  }
  fail_all(std::make_exception_ptr(ApiError(500, "the engine has failed: " + failure())));
}

void Worker::warm_up() {
  step_began_ms_ = now_ms();
  bool made = false;
  Request request{.prompt = {.ids = {0}}, .options = {.max_new_tokens = 1}, .on_done = [&](const Generation&) { made = true; }};
  engine_.add(std::move(request));
  while (engine_.step()) {}
  if (!made) throw ApiError(500, "no token was made");
  step_began_ms_ = 0;
  ready_ = true;
}

// @return false: stop.
bool Worker::wait_for_work() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return stopping_ || !queue_.empty() || !begun_.empty(); });
  return !stopping_;
}

// One round.
void Worker::work() {
  step_began_ms_ = now_ms();
  check_new();
  drop_cancelled();
  begin_texts();
  step_began_ms_ = now_ms();
  engine_.step();
  {
    const std::scoped_lock lock(mutex_);
    std::erase_if(begun_, [](const auto& task) { return task->ended == task->job->texts().size(); });
  }
  growing_ = static_cast<std::int64_t>(engine_.growing());
  step_began_ms_ = 0;
}

// As soon as they come, not when their turn does: a client is told at once what is wrong.
void Worker::check_new() {
  std::vector<std::shared_ptr<Task>> fresh;
  {
    const std::scoped_lock lock(mutex_);
    std::ranges::copy_if(queue_, std::back_inserter(fresh), [](const auto& task) { return !task->checked; });
  }
  for (const auto& task : fresh) {
    task->checked = true;
    try {
      std::size_t tokens = 0;
      for (const auto& text : task->job->texts()) engine_.check(text), tokens += text.prompt.ids.size();
      metrics_.read_tokens(tokens);
      task->job->accept();
    } catch (const Error&) {  // the request's; any other is the engine's
      task->job->fail(std::current_exception());
      const std::scoped_lock lock(mutex_);
      std::erase(queue_, task);
    }
  }
}

void Worker::drop_cancelled() {
  const auto dropped = [this](const std::shared_ptr<Task>& task) {
    if (!task->job->cancelled()) return false;
    std::ranges::for_each(task->ids, [&](auto id) { engine_.cancel(id); });
    return true;
  };
  const std::scoped_lock lock(mutex_);
  std::erase_if(queue_, dropped);
  std::erase_if(begun_, dropped);
}

void Worker::begin_texts() {
  auto room = options_.prefill_chunk;
  while (static_cast<std::int64_t>(engine_.growing() + engine_.waiting()) < options_.side_by_side) {
    std::shared_ptr<Task> task;
    {
      const std::scoped_lock lock(mutex_);
      if (queue_.empty()) return;
      task = queue_.front();
      if (!task->checked) return;  // came just now
    }
    if (!next_is_scored(*task, room)) return;
    {
      const std::scoped_lock lock(mutex_);
      if (task->next == 0) begun_.push_back(task);
      if (task->next + 1 == task->job->texts().size()) queue_.pop_front();
    }
    begin_text(task);
  }
}

void Worker::begin_text(const std::shared_ptr<Task>& task) {
  auto& job = *task->job;
  const auto number = task->next++;
  if (!job.generates() || job.cancelled()) {
    ++task->ended;
    job.add({.text = number, .finish = FinishReason::kLength});
    return;
  }
  auto request = job.texts()[number];
  const auto event = [this, task, number](std::string_view piece, const Generation& so_far, std::optional<FinishReason> finish) {
    auto& told = task->told[number];
    if (told == 0) metrics_.first_token(std::chrono::duration<double>(TextJob::Clock::now() - task->job->made()).count());
    metrics_.made_tokens(so_far.ids.size() - std::min(told, so_far.ids.size()));
    TextEvent news{.text = number, .piece = std::string(piece), .finish = finish, .tokens = so_far.ids.size()};
    if (finish != FinishReason::kStop) {
      const auto from = static_cast<std::ptrdiff_t>(told);
      news.ids.assign(so_far.ids.begin() + from, so_far.ids.end());
      if (!so_far.log_probs.empty()) news.log_probs.assign(so_far.log_probs.begin() + from, so_far.log_probs.end());
    }
    told = so_far.ids.size();
    if (finish) ++task->ended;
    task->job->add(std::move(news));
  };
  request.on_text = [event](std::string_view piece, const Generation& so_far) { event(piece, so_far, std::nullopt); };
  request.on_done = [event](const Generation& generation) { event("", generation, generation.finish); };
  request.on_error = [task](const std::exception& error) {
    task->job->cancel();  // its other texts are of no use
    task->job->fail(std::make_exception_ptr(api_error(error)));
  };
  task->ids.push_back(engine_.add(std::move(request)));
}

// A text whose prompt is to be scored begins once that is done. @return false: after the engine's next step.
bool Worker::next_is_scored(Task& task, std::int64_t& room) {
  const auto& scoring = task.job->scoring();
  if (!scoring || task.next / scoring->every < task.scored) return true;
  if (room <= 0) return false;
  try {
    score(task, room);
    return true;
  } catch (const Error&) {
    task.job->fail(std::current_exception());
    task.job->cancel();
    return false;
  }
}

// The next prompts, whole, until they make a chunk together: as long as the texts of others wait for prompts that are read.
void Worker::score(Task& task, std::int64_t& room) {
  auto& job = *task.job;
  const auto [top, every] = *job.scoring();
  const auto prompts = job.texts().size() / every;
  task.scores.resize(prompts);
  std::vector<std::vector<TokenId>> batch;
  std::vector<std::size_t> places;
  for (; task.scored < prompts && room > 0 && std::ssize(batch) < options_.side_by_side; ++task.scored) {
    const auto& ids = job.texts()[task.scored * every].prompt.ids;
    if (ids.size() < 2) continue;  // nothing stands before its one token
    room -= std::ssize(ids);
    batch.push_back(ids), places.push_back(task.scored);
  }
  use_adapter_(job.texts().front().adapter);
  step_began_ms_ = now_ms();
  auto scores = herd::score(model_, batch, top, options_.side_by_side);
  for (std::size_t i = 0; i < places.size(); ++i) task.scores[places[i]] = std::move(scores[i]);
  if (task.scored == prompts) job.set_prompt_log_probs(std::move(task.scores));
}

void Worker::fail_all(const std::exception_ptr& why) {
  growing_ = step_began_ms_ = 0;
  const std::scoped_lock lock(mutex_);
  for (const auto& task : begun_) task->job->fail(why);
  begun_.clear();
  for (const auto& task : queue_) task->job->fail(why);
  queue_.clear();
}

}  // namespace herd
