#pragma once
#include <array>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "parallel/comm/mpi_exchange.h"

namespace herd {

/// One operation of the MPI backend: what the caller waits for, and how far it has come.
class MpiTask final : public Completion {
 public:
  MpiTask(Operation operation, std::shared_ptr<MpiGroup> group, SplitRequest split = {})
      : Completion(std::move(operation)), group(std::move(group)), split_request(split) {}

  const std::shared_ptr<MpiGroup> group;
  const SplitRequest split_request;
  SplitResult split_result;

  // The communication thread's.
  std::optional<Exchange> exchange;
  struct Inquiry {
    Clock::time_point until;
    std::map<int, Note> answers;  ///< by rank of the job
  };
  std::optional<Inquiry> inquiry;
  Clock::time_point ask_at = Clock::now() + std::chrono::seconds(5);  ///< asks a neighbour what it entered, and as much later again
  std::optional<Note> neighbour_answer;

 private:
  void overdue() override;
  std::chrono::milliseconds grace() const override { return std::chrono::seconds(4); }
};

/// The one thread of this process that talks to MPI, from its start to its end. Callers hand it operations; it polls, with rests that
/// leave the cores to computation, sees to deadlines, and answers other ranks' questions.
class MpiEngine {
 public:
  /// Returns when MPI is up. @throws CommError
  MpiEngine();
  /// Completes what is under way and waits for the other ranks to get here (a few seconds only, once something has failed).
  ~MpiEngine();
  MpiEngine(const MpiEngine&) = delete;
  MpiEngine& operator=(const MpiEngine&) = delete;

  const Place& place() const { return place_; }
  int greatest_group() const { return greatest_group_; }

  // From any thread.
  void add(std::shared_ptr<MpiGroup> group);
  /// @throws CommError where the group is out of use.
  void submit(std::shared_ptr<MpiTask> task);
  /// This rank enters nothing of `group` any more. `at_once`: what is under way fails.
  void leave(std::shared_ptr<MpiGroup> group, bool at_once);
  void set_activity(std::string_view activity);
  /// The first cause that put the group out of use; empty where there is none.
  std::string failure(int group);
  /// Puts the group out of use on all of its ranks.
  void give_up(std::shared_ptr<MpiGroup> group, std::uint64_t sequence, std::string cause);
  /// `log` hears of the first failure of any group.
  void tell_failures(std::shared_ptr<FlightLog> log);
  [[noreturn]] void abort(int code);

  // From the callers' thread alone.
  std::int64_t free_id = 1;  ///< see SplitRequest; 0 is all ranks' group

 private:
  struct Member {
    std::shared_ptr<MpiGroup> group;  ///< empty while only others know of it
    std::deque<std::shared_ptr<MpiTask>> tasks;
    std::map<int, std::uint64_t> left;  ///< rank of the job: its last operation
    /// What this rank entered of late, by sequence modulo the size: for questions of others.
    std::array<std::pair<std::uint64_t, std::string>, 128> entered{};
  };

  void run();
  void serve();
  void part();
  bool obey();
  bool listen();
  void hear(int from, const Note& note);
  bool advance(Member& member);
  bool advance(Member& member, MpiTask& task);
  void inquire(MpiTask& task);
  void ask_neighbour(MpiTask& task);
  Note answer(const Note& question);
  void tell(const MpiGroup& group, const Note& note);
  /// Puts the group out of use. Operations from `sequence` on fail, the first with `error` if there is one; earlier ones go on.
  void fail(int group, std::uint64_t sequence, const std::string& cause, std::exception_ptr error = nullptr);
  void rest(bool moved);
  void at_thread(std::function<void()> action);

  Place place_;
  int greatest_group_ = 0;
  std::atomic<int> abort_code_ = -1;

  std::mutex mutex_;  // of the next five
  std::shared_ptr<FlightLog> log_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> inbox_;
  std::map<int, std::string> failures_;  ///< group: first cause
  std::string activity_;
  bool stopping_ = false;

  // The thread's.
  std::unique_ptr<MpiLink> link_;
  std::map<int, Member> members_;
  std::vector<std::shared_ptr<MpiTask>> abandoned_;  ///< MPI may still touch their memory
  std::set<int> gone_;                               ///< ranks that said goodbye
  bool failed_ = false;
  Clock::time_point moved_{};

  std::thread thread_;
};

}  // namespace herd
