#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/base/error.h"

namespace herd {

/// Where a process stands in its job.
struct Place {
  int rank = 0, size = 1;
  int local_rank = 0, local_size = 1;  ///< among the ranks that share its memory
  int node_rank = 0, node_count = 1;
  std::vector<std::string> hosts;  ///< of every rank
  std::vector<int> processes;      ///< of every rank; 0 where this process cannot see it
};

/// A short message beside the data: questions, answers and bad news between communication threads.
struct Note {
  enum Kind : std::int32_t {
    kAsk,     ///< how far have you come in `group`? `sequence`: the operation that is overdue
    kAnswer,  ///< `sequence`: the last operation entered, `asked`: the one asked about, `text`: the rank's activity,
              ///< `operation`: what it entered as the one asked about, or as its last
    kFailed,  ///< `group` is out of use from operation `sequence` on, `text` says why
    kLeft,    ///< the sender has entered its last operation of `group`, `sequence`
    kBye,     ///< the sender has left everything
  };
  Kind kind{};
  std::int32_t group = 0;
  std::uint64_t sequence = 0, asked = 0;
  std::string text{};  ///< cut to kText bytes
  static constexpr std::size_t kText = 1000;
  std::string operation{};  ///< cut to kOperation bytes
  static constexpr std::size_t kOperation = 100;
};

/// MPI behind a wall: its life, messages, notes. Nothing here blocks but the constructor and finalize(). Every call, both of these
/// included, must come from one and the same thread (MPI_THREAD_FUNNELED). Ranks are those of the whole job.
class MpiLink {
 public:
  /// Starts MPI, once a process; duplicates MPI_COMM_WORLD, for data and for notes. @throws CommError where MPI is in use or over.
  MpiLink();
  /// Leaves MPI as it is: after a failure finalize() would wait for ranks that never come.
  ~MpiLink();
  void finalize();

  const Place& place() const { return place_; }
  /// Tags of data messages are 0 to this.
  int greatest_tag() const { return greatest_tag_; }

  void send_note(int peer, const Note& note);
  /// The next note that has come, and its sender.
  std::optional<std::pair<int, Note>> receive_note();

  /// Ends all ranks with exit code `code`.
  [[noreturn]] void abort(int code);

  /// Messages under way together. Messages between two ranks with one tag arrive in the order in which both sides name them.
  class Messages {
   public:
    explicit Messages(MpiLink& link);
    ~Messages();  // memory of unfinished messages must outlive them: see abandon()
    Messages(Messages&&) noexcept;
    Messages& operator=(Messages&&) noexcept;

    /// `bytes` < 2^31; nothing at all is sent where it is 0. Memory stays untouched until arrived().
    void send(int peer, int tag, const char* from, std::int64_t bytes);
    void receive(int peer, int tag, char* to, std::int64_t bytes);
    enum class Progress { kNone, kSome, kAll };
    /// Looks once. @throws CommError where a message had another length than was expected, or MPI reports an error.
    Progress poll();
    /// Cancels what can be cancelled. False while MPI may still touch the memory.
    bool abandon();

   private:
    struct Requests;
    std::unique_ptr<Requests> requests_;
  };

 private:
  struct State;
  std::unique_ptr<State> state_;
  Place place_;
  int greatest_tag_ = 32767;
};

}  // namespace herd
