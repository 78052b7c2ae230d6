#include "parallel/comm/mpi_link.h"

#include <fmt/format.h>
#include <mpi.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <list>
#include <set>
#include <vector>

#include "runtime/base/process.h"

namespace herd {
namespace {

void need(int code, const char* call) {
  if (code == MPI_SUCCESS) return;
  std::array<char, MPI_MAX_ERROR_STRING> text{};
  int length = 0;
  MPI_Error_string(code, text.data(), &length);
  throw CommError({.who = call, .found = std::string(text.data(), static_cast<std::size_t>(length)), .expected = "success"});
}

MPI_Comm duplicate(MPI_Comm of) {
  MPI_Comm copy = MPI_COMM_NULL;
  need(MPI_Comm_dup(of, &copy), "MPI_Comm_dup");
  need(MPI_Comm_set_errhandler(copy, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  return copy;
}

// What a rank tells of itself at the start.
struct Card {
  int lowest = 0;  // rank of its node
  int process = 0;
  std::uint64_t process_space = 0;  // process ids mean nothing in another container
  char host[64] = {};
};

Card own_card(int lowest) {
  Card card{.lowest = lowest, .process = getpid()};
  struct stat space{};
  if (stat("/proc/self/ns/pid", &space) == 0) card.process_space = space.st_ino;
  const auto host = host_name();
  std::memcpy(card.host, host.data(), std::min(host.size(), sizeof card.host - 1));
  return card;
}

Place place_of(MPI_Comm world) {
  Place place;
  MPI_Comm_rank(world, &place.rank);
  MPI_Comm_size(world, &place.size);
  MPI_Comm node = MPI_COMM_NULL;
  need(MPI_Comm_split_type(world, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node), "MPI_Comm_split_type");
  MPI_Comm_rank(node, &place.local_rank);
  MPI_Comm_size(node, &place.local_size);
  // Each node is known by its lowest rank.
  int lowest = place.rank;
  need(MPI_Bcast(&lowest, 1, MPI_INT, 0, node), "MPI_Bcast");
  MPI_Comm_free(&node);
  const auto mine = own_card(lowest);
  std::vector<Card> cards(static_cast<std::size_t>(place.size));
  need(MPI_Allgather(&mine, sizeof mine, MPI_BYTE, cards.data(), sizeof mine, MPI_BYTE, world), "MPI_Allgather");
  std::set<int> distinct;
  for (const auto& card : cards) {
    distinct.insert(card.lowest);
    place.hosts.emplace_back(card.host);
    const bool visible = card.lowest == lowest && card.process_space == mine.process_space;
    place.processes.push_back(visible ? card.process : 0);
  }
  place.node_count = static_cast<int>(distinct.size());
  place.node_rank = static_cast<int>(std::distance(distinct.begin(), distinct.find(lowest)));
  return place;
}

struct WireNote {
  std::int32_t kind = 0, group = 0;
  std::uint64_t sequence = 0, asked = 0;
  char text[Note::kText + 1] = {};
  char operation[Note::kOperation + 1] = {};
};

struct OutgoingNote {
  WireNote wire;
  MPI_Request request = MPI_REQUEST_NULL;
};

}  // namespace

struct MpiLink::State {
  MPI_Comm data = MPI_COMM_NULL, notes = MPI_COMM_NULL;
  WireNote incoming;
  MPI_Request incoming_request = MPI_REQUEST_NULL;
  std::list<OutgoingNote> outgoing;

  void listen() {
    need(MPI_Irecv(&incoming, sizeof incoming, MPI_BYTE, MPI_ANY_SOURCE, 0, notes, &incoming_request), "MPI_Irecv");
  }
};

MpiLink::MpiLink() : state_(std::make_unique<State>()) {
  int initialized = 0, provided = 0;
  MPI_Initialized(&initialized);
  if (initialized) {
    throw CommError({.who = "MPI", .found = "started already in this process", .expected = "one MPI world a process, started by herd",
                     .remedy = "split the communicator that there is"});
  }
  need(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided), "MPI_Init_thread");
  if (provided < MPI_THREAD_FUNNELED) {
    throw CommError({.who = "MPI", .found = fmt::format("thread support {}", provided), .expected = "MPI_THREAD_FUNNELED",
                     .remedy = "use an MPI library built with thread support"});
  }
  state_->data = duplicate(MPI_COMM_WORLD);
  state_->notes = duplicate(MPI_COMM_WORLD);
  place_ = place_of(state_->data);
  int* tag = nullptr;
  int known = 0;
  MPI_Comm_get_attr(state_->data, MPI_TAG_UB, static_cast<void*>(&tag), &known);
  if (known) greatest_tag_ = *tag;
  state_->listen();
}

// MPI may still read and write the notes under way: without finalize() they stay for the rest of the process.
MpiLink::~MpiLink() { static_cast<void>(state_.release()); }

void MpiLink::finalize() {
  MPI_Cancel(&state_->incoming_request);
  MPI_Wait(&state_->incoming_request, MPI_STATUS_IGNORE);
  for (auto& note : state_->outgoing) MPI_Wait(&note.request, MPI_STATUS_IGNORE);
  state_->outgoing.clear();
  MPI_Comm_free(&state_->notes);
  MPI_Comm_free(&state_->data);
  MPI_Finalize();
  state_.reset();  // MPI is done with it
}

void MpiLink::abort(int code) {
  MPI_Abort(MPI_COMM_WORLD, code);
  std::_Exit(code);
}

void MpiLink::send_note(int peer, const Note& note) {
  auto& sent = state_->outgoing.emplace_back();
  sent.wire.kind = note.kind;
  sent.wire.group = note.group;
  sent.wire.sequence = note.sequence;
  sent.wire.asked = note.asked;
  std::memcpy(sent.wire.text, note.text.data(), std::min(note.text.size(), Note::kText));
  std::memcpy(sent.wire.operation, note.operation.data(), std::min(note.operation.size(), Note::kOperation));
  need(MPI_Isend(&sent.wire, sizeof sent.wire, MPI_BYTE, peer, 0, state_->notes, &sent.request), "MPI_Isend");
}

std::optional<std::pair<int, Note>> MpiLink::receive_note() {
  state_->outgoing.remove_if([](OutgoingNote& note) {
    int done = 0;
    MPI_Test(&note.request, &done, MPI_STATUS_IGNORE);
    return done != 0;
  });
  int arrived = 0;
  MPI_Status status;
  need(MPI_Test(&state_->incoming_request, &arrived, &status), "MPI_Test");
  if (!arrived) return std::nullopt;
  const auto& wire = state_->incoming;
  std::pair<int, Note> note{status.MPI_SOURCE, {.kind = static_cast<Note::Kind>(wire.kind), .group = wire.group, .sequence = wire.sequence,
                                                .asked = wire.asked, .text = wire.text, .operation = wire.operation}};
  state_->listen();
  return note;
}

struct MpiLink::Messages::Requests {
  struct Message {
    int peer;
    bool incoming;
    std::int64_t bytes;
  };
  MPI_Comm comm;
  std::vector<MPI_Request> requests;
  std::vector<Message> messages;
  std::size_t open = 0;
  std::vector<int> finished;  // scratch of poll()
  std::vector<MPI_Status> statuses;
};

MpiLink::Messages::Messages(MpiLink& link) : requests_(std::make_unique<Requests>()) { requests_->comm = link.state_->data; }
MpiLink::Messages::~Messages() = default;
MpiLink::Messages::Messages(Messages&&) noexcept = default;
MpiLink::Messages& MpiLink::Messages::operator=(Messages&&) noexcept = default;

void MpiLink::Messages::send(int peer, int tag, const char* from, std::int64_t bytes) {
  if (!bytes) return;
  auto& r = *requests_;
  r.messages.push_back({peer, false, bytes});
  r.requests.push_back(MPI_REQUEST_NULL);
  need(MPI_Isend(from, static_cast<int>(bytes), MPI_BYTE, peer, tag, r.comm, &r.requests.back()), "MPI_Isend");
  ++r.open;
}

void MpiLink::Messages::receive(int peer, int tag, char* to, std::int64_t bytes) {
  if (!bytes) return;
  auto& r = *requests_;
  r.messages.push_back({peer, true, bytes});
  r.requests.push_back(MPI_REQUEST_NULL);
  need(MPI_Irecv(to, static_cast<int>(bytes), MPI_BYTE, peer, tag, r.comm, &r.requests.back()), "MPI_Irecv");
  ++r.open;
}

MpiLink::Messages::Progress MpiLink::Messages::poll() {
  auto& r = *requests_;
  if (r.open) {
    r.finished.resize(r.requests.size());
    r.statuses.resize(r.requests.size());
    int count = 0;
    const int code = MPI_Testsome(static_cast<int>(r.requests.size()), r.requests.data(), &count, r.finished.data(), r.statuses.data());
    if (code != MPI_SUCCESS && code != MPI_ERR_IN_STATUS) need(code, "MPI_Testsome");
    if (count == MPI_UNDEFINED) count = 0;
    for (int i = 0; i < count; ++i) {
      const auto at = static_cast<std::size_t>(r.finished[static_cast<std::size_t>(i)]);
      const auto& status = r.statuses[static_cast<std::size_t>(i)];
      const auto& message = r.messages[at];
      --r.open;
      const bool failed = code == MPI_ERR_IN_STATUS && status.MPI_ERROR != MPI_SUCCESS;
      int bytes = static_cast<int>(message.bytes);
      if (!failed && message.incoming) MPI_Get_count(&status, MPI_BYTE, &bytes);
      int error_class = MPI_SUCCESS;
      if (failed) MPI_Error_class(status.MPI_ERROR, &error_class);
      if (error_class == MPI_ERR_TRUNCATE || bytes != message.bytes) {
        throw CommError({.who = fmt::format("message from rank {}", message.peer),
                         .found = failed ? "more bytes than expected" : fmt::format("{} bytes", bytes),
                         .expected = fmt::format("{} bytes", message.bytes),
                         .remedy = "the ranks disagree on this operation: CommOptions::check (parallel.check) names both sides"});
      }
      if (failed) need(status.MPI_ERROR, "message");
    }
    if (r.open) return count ? Progress::kSome : Progress::kNone;
  }
  r.requests.clear();
  r.messages.clear();
  return Progress::kAll;
}

bool MpiLink::Messages::abandon() {
  auto& r = *requests_;
  bool all = true;
  for (std::size_t i = 0; i < r.requests.size(); ++i) {
    auto& request = r.requests[i];
    if (request == MPI_REQUEST_NULL) continue;
    if (r.messages[i].incoming) MPI_Cancel(&request);
    int done = 0;
    MPI_Test(&request, &done, MPI_STATUS_IGNORE);
    all = all && done;
  }
  return all;
}

}  // namespace herd
