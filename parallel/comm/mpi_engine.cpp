#include "parallel/comm/mpi_engine.h"

#include <sched.h>
#include <sys/prctl.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <future>

#include "parallel/comm/flight.h"
#include "runtime/base/log.h"
#include "runtime/base/thread.h"

namespace herd {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

// Operations of one group under way together; the rest waits its turn. Bounds memory, and keeps tags apart.
constexpr std::size_t kUnderWay = 32;
static_assert(2 * kUnderWay <= Exchange::kTagsPerGroup);
// How long other ranks get to answer what they are doing.
constexpr auto kAnswerTime = milliseconds(1500);
// How long a rank that has seen a failure waits for others at its end.
constexpr auto kPartingTime = std::chrono::seconds(3);
// Rests: none for a moment after something moved while a caller waits; then longer and longer ones.
constexpr auto kSpin = microseconds(80);
constexpr auto kShortRest = microseconds(20);
constexpr auto kLongRest = microseconds(500);
constexpr auto kLongestRest = milliseconds(2);  // where nothing has moved for long
constexpr auto kIdleRest = milliseconds(20);    // with nothing under way
// More than a look at one operation takes while nothing moves.
constexpr auto kLook = microseconds(5);

// What ranks compare at a distance.
std::string short_text(const Operation& operation) { return operation.description().substr(0, Note::kOperation); }

}  // namespace

void MpiTask::overdue() {
  const CommError error({.who = operation().title(), .found = "the communication thread of this rank does not answer",
                         .expected = "completion or an error at the deadline"});
  complete(std::make_exception_ptr(error));
}

MpiEngine::MpiEngine() {
  std::promise<void> up;
  auto is_up = up.get_future();
  thread_ = background_thread("herd-comm", [this, &up] {
    prctl(PR_SET_TIMERSLACK, 1ul, 0ul, 0ul, 0ul);  // rests of microseconds, not the usual 50 more
    try {
      link_ = std::make_unique<MpiLink>();
      place_ = link_->place();
      greatest_group_ = Exchange::greatest_group(*link_);
      up.set_value();
    } catch (...) {
      up.set_exception(std::current_exception());
      return;
    }
    run();
  });
  try {
    is_up.get();
  } catch (...) {
    thread_.join();
    throw;
  }
}

MpiEngine::~MpiEngine() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void MpiEngine::at_thread(std::function<void()> action) {
  {
    std::lock_guard lock(mutex_);
    inbox_.push_back(std::move(action));
  }
  changed_.notify_one();
}

void MpiEngine::add(std::shared_ptr<MpiGroup> group) {
  at_thread([this, group] { members_[group->id].group = group; });
}

void MpiEngine::submit(std::shared_ptr<MpiTask> task) {
  {
    std::lock_guard lock(mutex_);
    const auto failure = failures_.find(task->group->id);
    if (failure != failures_.end()) throw out_of_use(task->operation(), failure->second);
    inbox_.push_back([this, task] {
      auto& member = members_[task->group->id];
      const auto& operation = task->operation();
      if (!operation.question) member.entered[operation.sequence % member.entered.size()] = {operation.sequence, short_text(operation)};
      member.tasks.push_back(task);
    });
  }
  changed_.notify_one();
}

void MpiEngine::leave(std::shared_ptr<MpiGroup> group, bool at_once) {
  at_thread([this, group, at_once] {
    const auto& tasks = members_[group->id].tasks;
    const auto last = at_once && !tasks.empty() ? tasks.front()->operation().sequence - 1 : group->entered.load();
    tell(*group, {.kind = Note::kLeft, .group = group->id, .sequence = last});
    if (at_once) fail(group->id, 0, "this rank has left");
  });
}

void MpiEngine::set_activity(std::string_view activity) {
  std::lock_guard lock(mutex_);
  activity_ = activity;
}

std::string MpiEngine::failure(int group) {
  std::lock_guard lock(mutex_);
  const auto found = failures_.find(group);
  return found == failures_.end() ? "" : found->second;
}

void MpiEngine::give_up(std::shared_ptr<MpiGroup> group, std::uint64_t sequence, std::string cause) {
  {
    std::lock_guard lock(mutex_);
    failures_.try_emplace(group->id, cause);
  }
  at_thread([this, group, sequence, cause] {
    tell(*group, {.kind = Note::kFailed, .group = group->id, .sequence = sequence, .text = cause});
    fail(group->id, sequence, cause);
  });
}

void MpiEngine::tell_failures(std::shared_ptr<FlightLog> log) {
  std::lock_guard lock(mutex_);
  log_ = std::move(log);
}

void MpiEngine::abort(int code) {
  abort_code_ = code;
  changed_.notify_all();
  std::this_thread::sleep_for(std::chrono::seconds(3));
  std::_Exit(code);  // the thread hangs inside MPI
}

// ---- the communication thread from here on ----

void MpiEngine::run() {
  try {
    serve();
    part();
  } catch (const std::exception& e) {
    for (auto& [id, member] : members_) fail(id, 0, e.what());
    log_warning("the communication thread has ended: {}", e.what());
    // Whoever submits from now on must hear it; nothing moves any more.
    std::unique_lock lock(mutex_);
    for (;;) {
      auto actions = std::exchange(inbox_, {});
      lock.unlock();
      for (auto& action : actions) action();
      for (auto& [id, member] : members_) fail(id, 0, e.what());
      if (abort_code_ >= 0) std::_Exit(abort_code_);
      lock.lock();
      if (stopping_ && inbox_.empty()) break;
      changed_.wait_for(lock, kIdleRest);
    }
  }
  if (!abandoned_.empty() && link_) {
    // Not finalized: MPI may still touch this memory, so it stays.
    for (auto& task : abandoned_) static_cast<void>(new std::shared_ptr<MpiTask>(task));
  }
}

void MpiEngine::serve() {
  moved_ = Clock::now();
  for (;;) {
    const auto began = Clock::now();
    bool moved = obey();
    moved = listen() || moved;
    std::size_t looks = 1;
    for (auto& [id, member] : members_) {
      looks += std::min(member.tasks.size(), kUnderWay);
      moved = advance(member) || moved;
    }
    // MPI does not tell when it has copied a part of a message: but then the look has taken its time.
    moved = moved || (looks > 1 && Clock::now() - began > looks * kLook);
    const bool idle = std::all_of(members_.begin(), members_.end(), [](const auto& entry) { return entry.second.tasks.empty(); });
    {
      std::lock_guard lock(mutex_);
      if (idle && stopping_ && inbox_.empty()) return;
    }
    rest(moved);
  }
}

// MPI_Finalize blocks until all ranks come: so they first tell each other that they will.
void MpiEngine::part() {
  for (int rank = 0; rank < place_.size; ++rank)
    if (rank != place_.rank) link_->send_note(rank, {.kind = Note::kBye});
  const auto began = Clock::now();
  while (gone_.size() + 1 < static_cast<std::size_t>(place_.size)) {
    if (failed_ && Clock::now() - began > kPartingTime) {
      log_warning("leaving without the other ranks: {} of {} have not come to their end", place_.size - 1 - static_cast<int>(gone_.size()),
                  place_.size - 1);
      return;
    }
    if (!listen()) std::this_thread::sleep_for(Clock::now() - began < milliseconds(100) ? milliseconds(1) : milliseconds(5));
    if (abort_code_ >= 0) link_->abort(abort_code_);
  }
  for (auto& task : abandoned_) task->exchange->abandon();
  link_->finalize();
  link_.reset();
}

bool MpiEngine::obey() {
  if (abort_code_ >= 0) link_->abort(abort_code_);
  std::deque<std::function<void()>> actions;
  {
    std::lock_guard lock(mutex_);
    actions.swap(inbox_);
  }
  for (auto& action : actions) action();
  return !actions.empty();
}

bool MpiEngine::listen() {
  bool heard = false;
  while (auto note = link_->receive_note()) {
    hear(note->first, note->second);
    heard = true;
  }
  return heard;
}

void MpiEngine::hear(int from, const Note& note) {
  auto& member = members_[note.group];
  switch (note.kind) {
    case Note::kAsk: link_->send_note(from, answer(note)); return;
    case Note::kAnswer:
      for (auto& task : member.tasks)
        if (task->operation().sequence == note.asked) {
          if (task->inquiry) task->inquiry->answers[from] = note;
          else task->neighbour_answer = note;
        }
      return;
    case Note::kFailed: fail(note.group, note.sequence, "rank " + std::to_string(from) + " has failed: " + note.text); return;
    case Note::kLeft: member.left[from] = note.sequence; return;
    case Note::kBye: gone_.insert(from); return;
  }
}

Note MpiEngine::answer(const Note& question) {
  const auto& member = members_[question.group];
  Note answer{.kind = Note::kAnswer, .group = question.group, .asked = question.sequence};
  if (member.group) answer.sequence = member.group->entered.load();
  const auto number = std::min(answer.sequence, question.sequence);
  const auto& [sequence, text] = member.entered[number % member.entered.size()];
  if (sequence == number) answer.operation = text;
  std::lock_guard lock(mutex_);
  answer.text = activity_;
  return answer;
}

bool MpiEngine::advance(Member& member) {
  bool moved = false;
  for (std::size_t i = 0; i < member.tasks.size() && i < kUnderWay; ++i) {
    // By value: fail() takes it off the list.
    const auto task = member.tasks[i];
    try {
      moved = advance(member, *task) || moved;
    } catch (const std::exception& e) {
      const auto sequence = task->operation().sequence;
      tell(*task->group, {.kind = Note::kFailed, .group = task->group->id, .sequence = sequence, .text = e.what()});
      fail(task->group->id, sequence, e.what(), std::current_exception());
      return true;
    }
  }
  std::erase_if(member.tasks, [](const auto& task) { return task->done(); });
  return moved;
}

bool MpiEngine::advance(Member& member, MpiTask& task) {
  if (task.done()) throw CommError({.who = task.operation().title(), .found = "this thread was away beyond the deadline"});
  if (task.operation().question) {
    inquire(task);
    return false;
  }
  if (!task.exchange) task.exchange.emplace(task.operation(), *task.group, *link_, task.split_request);
  const auto progress = task.exchange->advance();
  if (progress == Exchange::Progress::kDone) {
    task.split_result = std::move(task.exchange->split_result);
    task.exchange.reset();
    task.complete();
    return true;
  }
  std::vector<int> gone;
  for (const auto& [rank, last] : member.left)
    if (last < task.operation().sequence) gone.push_back(rank);
  if (!gone.empty()) {
    throw CommError({.who = task.operation().title(),
                     .found = rank_list(gone, place_.hosts) + (gone.size() > 1 ? " have" : " has") + " left without entering it",
                     .expected = "all ranks"});
  }
  const auto now = Clock::now();
  if (now > task.operation().deadline) inquire(task);
  else if (now > task.ask_at || task.neighbour_answer) ask_neighbour(task);
  return progress == Exchange::Progress::kSome;
}

// Ranks that disagree need not wait for the deadline: of any two sides, two neighbours differ.
void MpiEngine::ask_neighbour(MpiTask& task) {
  const auto& group = *task.group;
  const int neighbour = group.world_ranks[static_cast<std::size_t>((group.rank + 1) % group.size())];
  if (neighbour == place_.rank) return;
  if (Clock::now() > task.ask_at) {
    task.ask_at = Clock::now() + std::chrono::seconds(5);
    link_->send_note(neighbour, {.kind = Note::kAsk, .group = group.id, .sequence = task.operation().sequence});
  }
  const auto answer = std::exchange(task.neighbour_answer, {});
  if (!answer || answer->sequence < task.operation().sequence || answer->operation.empty()) return;
  const std::vector<int> ranks{place_.rank, neighbour};
  const std::vector<std::string> descriptions{short_text(task.operation()), answer->operation};
  if (auto error = disagreement(task.operation(), ranks, descriptions, place_.hosts)) throw *error;
}

// First asks all ranks of the group how far they are, then says so.
void MpiEngine::inquire(MpiTask& task) {
  const auto now = Clock::now();
  if (!task.inquiry) {
    task.inquiry = {.until = now + kAnswerTime, .answers = {}};
    tell(*task.group, {.kind = Note::kAsk, .group = task.group->id, .sequence = task.operation().sequence});
    return;
  }
  const auto& answers = task.inquiry->answers;
  if (now < task.inquiry->until && answers.size() + 1 < task.group->world_ranks.size()) return;
  const auto& operation = task.operation();
  std::vector<int> late, silent, entered{place_.rank};
  std::vector<std::string> descriptions{short_text(operation)};
  std::string activities;
  for (int rank : task.group->world_ranks) {
    if (rank == place_.rank) continue;
    const auto answer = answers.find(rank);
    if (answer == answers.end()) {
      silent.push_back(rank);
      continue;
    }
    const auto& [kind, group, sequence, asked, text, what] = answer->second;
    if (sequence >= operation.sequence) {
      if (!what.empty()) entered.push_back(rank), descriptions.push_back(what);
      continue;
    }
    late.push_back(rank);
    activities += (activities.empty() ? "rank " : "; rank ") + std::to_string(rank) + " was last seen in: " + (text.empty() ? "" : text + ", ") +
                  (sequence ? "after " + (what.empty() ? "operation" : what) + " #" + std::to_string(sequence) : "before its first operation");
  }
  if (auto error = disagreement(operation, entered, descriptions, place_.hosts)) throw *error;
  throw deadline_error(operation, late, silent, activities, place_.hosts);
}

void MpiEngine::tell(const MpiGroup& group, const Note& note) {
  for (int rank : group.world_ranks)
    if (rank != place_.rank) link_->send_note(rank, note);
}

void MpiEngine::fail(int group, std::uint64_t sequence, const std::string& cause, std::exception_ptr error) {
  auto& tasks = members_[group].tasks;
  {
    std::lock_guard lock(mutex_);
    failures_.try_emplace(group, cause);
    if (log_) log_->fail(cause);
  }
  failed_ = true;
  const auto first = std::find_if(tasks.begin(), tasks.end(), [&](const auto& task) { return task->operation().sequence >= sequence; });
  const std::vector<std::shared_ptr<MpiTask>> lost(first, tasks.end());
  tasks.erase(first, tasks.end());
  for (auto& task : lost) {
    if (task->exchange && task->exchange->abandon()) task->exchange.reset();
    if (task->exchange) abandoned_.push_back(task);
    if (!error) error = std::make_exception_ptr(CommError({.who = task->operation().title(), .found = cause}));
    task->complete(std::exchange(error, nullptr));
  }
}

void MpiEngine::rest(bool moved) {
  const auto now = Clock::now();
  if (moved) {
    moved_ = now;
    return;
  }
  bool busy = false, waited_for = false;
  for (const auto& [id, member] : members_) {
    busy = busy || !member.tasks.empty();
    for (const auto& task : member.tasks) waited_for = waited_for || task->waited_for();
  }
  const auto quiet = now - moved_;
  if (busy && waited_for && quiet < kSpin) {
    sched_yield();
    return;
  }
  std::chrono::nanoseconds pause = kIdleRest;
  if (busy) pause = quiet > milliseconds(50) ? kLongestRest : std::clamp<std::chrono::nanoseconds>(quiet / 4, kShortRest, kLongRest);
  std::unique_lock lock(mutex_);
  if (inbox_.empty() && abort_code_ < 0 && !(stopping_ && !busy)) changed_.wait_for(lock, pause);
}

}  // namespace herd
