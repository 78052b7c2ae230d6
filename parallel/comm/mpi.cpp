#include "parallel/comm/mpi.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <numeric>

#include "parallel/comm/mpi_engine.h"

namespace herd {
namespace {

class MpiCommunicator final : public Communicator {
 public:
  MpiCommunicator(std::shared_ptr<MpiEngine> engine, std::shared_ptr<MpiGroup> group)
      : Communicator(group->rank, group->size(), group->options), engine_(std::move(engine)), group_(std::move(group)) {
    if (group_->id == 0) engine_->tell_failures(flight());
    engine_->add(group_);
  }
  // On the way out of an error, what is under way will not be missed by anybody.
  ~MpiCommunicator() override { engine_->leave(group_, std::uncaught_exceptions() > exceptions_); }

  std::string backend() const override { return "mpi"; }
  int local_rank() const override { return engine_->place().local_rank; }
  int local_size() const override { return engine_->place().local_size; }
  int node_rank() const override { return engine_->place().node_rank; }
  int node_count() const override { return engine_->place().node_count; }

  Peer peer(int rank) const override {
    const auto world_rank = static_cast<std::size_t>(group_->world_ranks[static_cast<std::size_t>(rank)]);
    const auto& place = engine_->place();
    return {.host = place.hosts[world_rank], .process = place.processes[world_rank], .near = place.processes[world_rank] > 0};
  }

  void note(std::string_view activity) override {
    Communicator::note(activity);
    engine_->set_activity(activity);
  }

  [[noreturn]] void abort(int code, std::string_view message) override {
    std::fprintf(stderr, "%.*s\n", static_cast<int>(message.size()), message.data());
    std::fflush(nullptr);
    engine_->abort(code);
  }

 protected:
  std::shared_ptr<Pending> start(Operation operation) override { return enter(std::move(operation), {}); }

  std::unique_ptr<Communicator> start_split(Operation operation, int color, int key, CommOptions options) override {
    const auto task = enter(std::move(operation), {.color = color, .key = key, .free_id = engine_->free_id});
    task->wait();
    const auto& result = task->split_result;
    engine_->free_id = std::max(engine_->free_id, result.free_id);
    if (result.world_ranks.empty()) return nullptr;
    return make(engine_, result.id, result.world_ranks, result.rank, options);
  }

  void pass_by(std::uint64_t sequence) override { group_->entered = std::max(group_->entered.load(), sequence); }
  std::string failure() const override { return engine_->failure(group_->id); }
  void give_up(std::uint64_t sequence, const std::string& cause) override { engine_->give_up(group_, sequence, cause); }

 public:
  static std::unique_ptr<Communicator> make(const std::shared_ptr<MpiEngine>& engine, std::int64_t id, std::vector<int> world_ranks, int rank,
                                            CommOptions options) {
    if (id > engine->greatest_group()) {
      throw CommError({.who = "split", .found = fmt::format("communicator {}", id), .expected = fmt::format("at most {}", engine->greatest_group()),
                       .remedy = "split once, at the start, and keep the communicators"});
    }
    auto group = std::make_shared<MpiGroup>();
    group->id = static_cast<int>(id);
    group->world_ranks = std::move(world_ranks);
    group->rank = rank;
    group->options = options;
    group->hosts = engine->place().hosts;
    return std::make_unique<MpiCommunicator>(engine, std::move(group));
  }

 private:
  std::shared_ptr<MpiTask> enter(Operation operation, SplitRequest split) {
    pass_by(operation.sequence);
    auto task = std::make_shared<MpiTask>(std::move(operation), group_, split);
    engine_->submit(task);
    return task;
  }

  std::shared_ptr<MpiEngine> engine_;
  std::shared_ptr<MpiGroup> group_;
  int exceptions_ = std::uncaught_exceptions();
};

}  // namespace

std::unique_ptr<Communicator> make_mpi_communicator(CommOptions options) {
  const auto engine = std::make_shared<MpiEngine>();
  std::vector<int> ranks(static_cast<std::size_t>(engine->place().size));
  std::iota(ranks.begin(), ranks.end(), 0);
  return MpiCommunicator::make(engine, 0, std::move(ranks), engine->place().rank, options);
}

}  // namespace herd
