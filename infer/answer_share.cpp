#include "infer/answer_share.h"

#include <algorithm>
#include <chrono>
#include <numeric>
#include <optional>

namespace herd {
namespace {

using Clock = std::chrono::steady_clock;

/// What a rank tells the others: one number each.
struct State {
  std::int64_t answers = 0, new_tokens = 0, ended = 0, signal = 0;
};
constexpr std::int64_t kNumbers = 4;

/// An all_gather now and then that is looked at, and not waited for, between the steps.
class Rounds {
 public:
  explicit Rounds(Communicator& communicator) : communicator_(communicator) {}

  /// @param wait this rank has nothing else to do. @return all ranks together, when a round is complete.
  std::optional<State> pass(const State& mine, bool wait) {
    constexpr auto kEvery = std::chrono::milliseconds(200);
    if (!work_) {
      if (!wait && Clock::now() - began_ < kEvery) return std::nullopt;
      began_ = Clock::now();
      all_ = at::empty({communicator_.size(), kNumbers}, at::kLong);
      work_ = communicator_.all_gather(all_, at::tensor({mine.answers, mine.new_tokens, mine.ended, mine.signal}, at::kLong));
    }
    if (!wait && !work_->done()) return std::nullopt;
    work_->wait();
    work_.reset();
    const auto rows = all_.accessor<std::int64_t, 2>();
    State together;
    for (std::int64_t rank = 0; rank < communicator_.size(); ++rank) {
      together.answers += rows[rank][0];
      together.new_tokens += rows[rank][1];
      together.ended += rows[rank][2];
      together.signal = std::max(together.signal, rows[rank][3]);
    }
    return together;
  }

 private:
  Communicator& communicator_;
  Tensor all_;
  std::optional<Work> work_;
  Clock::time_point began_{};
};

}  // namespace

std::vector<std::size_t> share_of(std::span<const std::int64_t> tokens, int rank, int ranks) {
  std::vector<std::size_t> order(tokens.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::erase_if(order, [&](std::size_t i) { return tokens[i] == 0; });
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return tokens[a] > tokens[b]; });
  std::vector<std::size_t> share;
  for (auto i = static_cast<std::size_t>(rank); i < order.size(); i += static_cast<std::size_t>(ranks)) share.push_back(order[i]);
  return share;
}

Signal answer_share(Engine& engine, std::int64_t batch_size, Communicator& communicator, const ShareWork& work) {
  State mine;
  Signal stop = Signal::none;
  Rounds rounds(communicator);
  const auto ask = [&](std::size_t question) {
    auto request = work.request(question);
    request.on_done = [&, question](const Generation& answer) {
      work.store(question, answer);
      ++mine.answers;
      mine.new_tokens += std::ssize(answer.ids);
    };
    engine.add(std::move(request));
  };
  bool waits = false;
  for (auto next = work.share.begin();;) {
    // No more than can grow at once: what a signal leaves to be ended is under way.
    for (; stop == Signal::none && next != work.share.end(); ++next) {
      if (static_cast<std::int64_t>(engine.waiting() + engine.growing()) >= batch_size) break;
      ask(*next);
    }
    const bool busy = engine.step();
    mine.ended = !busy && (next == work.share.end() || stop != Signal::none);
    mine.signal = static_cast<std::int64_t>(work.signal());
    // Once no rank has a pass to run none will have: whoever asked again would wait for one that waits for the next round.
    waits = waits || (mine.ended && !(work.take_part && work.take_part()));
    const auto all = rounds.pass(mine, waits);
    if (!all) continue;
    work.told(all->answers, all->new_tokens);
    stop = std::max(stop, static_cast<Signal>(all->signal));
    if (all->ended == communicator.size()) return stop;
  }
}

}  // namespace herd
