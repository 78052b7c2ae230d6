#pragma once
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "infer/server/job.h"
#include "infer/server/server_metrics.h"

namespace herd {

class CausalLm;
class Engine;

struct WorkerOptions {
  std::int64_t queue = 32;         ///< jobs that may wait for their turn
  std::int64_t side_by_side = 8;   ///< the engine's batch_size
  std::int64_t prefill_chunk = 512;  ///< tokens of prompts that are scored between two of its steps
  double stall_s = 60;             ///< a step that takes longer is a stall
};

/// The thread that an engine lives on. Jobs come from any thread and are answered in order, their texts side by side as far as the engine has room.
class Worker {
 public:
  enum class Health { kStarting, kReady, kStalled, kFailed };

  /// Starts by making one token: only then kReady. @param engine, model, metrics used by the thread until ~Worker; `engine` by nobody else.
  /// @param use_adapter as Engine's: prompts are scored under it.
  Worker(Engine& engine, CausalLm& model, std::function<void(std::optional<std::size_t>)> use_adapter, WorkerOptions options, ServerMetrics& metrics);
  /// Jobs under way end with an error.
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  /// @throws ApiError 429 where the queue is full, 503 where the engine has failed.
  std::shared_ptr<TextJob> submit(std::vector<Request> texts, std::optional<PromptScoring> scoring, bool generates);

  Health health() const;
  std::string failure() const;  ///< for clients: what it was is in the log
  std::int64_t waiting() const;                         ///< jobs of which a text is yet to begin
  std::int64_t growing() const { return growing_; }    ///< texts
  bool idle() const;

 private:
  struct Task;
  void run();
  void warm_up();
  void work();
  bool wait_for_work();
  void check_new();
  void drop_cancelled();
  void begin_texts();
  void begin_text(const std::shared_ptr<Task>& task);
  bool next_is_scored(Task& task, std::int64_t& room);
  void score(Task& task, std::int64_t& room);
  void fail_all(const std::exception_ptr& why);

  Engine& engine_;
  CausalLm& model_;
  std::function<void(std::optional<std::size_t>)> use_adapter_;
  WorkerOptions options_;
  ServerMetrics& metrics_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::shared_ptr<Task>> queue_;
  std::list<std::shared_ptr<Task>> begun_;  // changed by the thread alone, which so may read it without the lock
  bool stopping_ = false;
  std::string failure_;
  std::atomic<bool> ready_ = false;
  std::atomic<std::int64_t> growing_ = 0;
  std::atomic<std::int64_t> step_began_ms_ = 0;  // of the steady clock; 0: none is under way
  std::thread thread_;
};

}  // namespace herd
