#pragma once
#include <functional>
#include <memory>
#include <vector>

#include "parallel/comm/communicator.h"
#include "parallel/comm/operation.h"

namespace herd::test {

/// Enters a collective of another communicator, with other tensors in place of its own.
inline Work enter(Communicator& inner, const Operation& o, const Tensor& input, const Tensor& output) {
  switch (o.kind) {
    case CommKind::kAllReduce: return inner.all_reduce(output, o.op);
    case CommKind::kReduceScatter: return inner.reduce_scatter(output, input, o.op, o.send_counts);
    case CommKind::kAllGather: return inner.all_gather(output, input, o.send_counts);
    case CommKind::kBroadcast: return inner.broadcast(output, o.root);
    case CommKind::kBarrier: return inner.barrier();
    default: return inner.all_to_all(output, input, o.send_counts, o.receive_counts);
  }
}

/// An operation of another communicator, in whose name this one's is entered; dropped without wait(), it counts as completed.
struct Carried : Completion {
  Carried(Operation o, Work carrier) : Completion(std::move(o)), work(std::move(carrier)) {}
  ~Carried() override {
    if (!done()) complete();
  }
  void wait() override {
    if (!done()) {
      work.wait();
      arrived();
      complete();
    }
    Completion::wait();
  }
  virtual void arrived() {}
  void overdue() override {}
  Work work;
};

/// Stands between callers and a communicator, and is told of each operation, on splits of it too, as it is entered. What a reduction takes in
/// is copied: so only the caller's side keeps its memory.
class Watched final : public Communicator {
 public:
  using See = std::function<void(const Operation&)>;
  explicit Watched(Communicator& inner, See see = [](const Operation&) {})
      : Communicator(inner.rank(), inner.size(), inner.options()), inner_(inner), see_(std::move(see)) {}

  std::string backend() const override { return inner_.backend(); }
  int local_rank() const override { return inner_.local_rank(); }
  int local_size() const override { return inner_.local_size(); }
  int node_rank() const override { return inner_.node_rank(); }
  int node_count() const override { return inner_.node_count(); }
  std::vector<at::Device> devices() const override { return inner_.devices(); }

  /// Bytes that this rank has sent on each split so far, in the order in which they were made; they must be there still.
  std::vector<std::uint64_t> sent_on_splits() const {
    std::vector<std::uint64_t> sent;
    for (const auto* split : splits_) sent.push_back(split->inner_.stats().sent());
    return sent;
  }

 protected:
  std::shared_ptr<Pending> start(Operation o) override {
    see_(o);
    const auto input = o.kind == CommKind::kReduceScatter ? o.input.clone() : o.input;
    auto work = enter(inner_, o, input, o.output);
    return std::make_shared<Carried>(std::move(o), std::move(work));
  }
  std::unique_ptr<Communicator> start_split(Operation o, int color, int key, CommOptions options) override {
    auto part = inner_.split(color, key, options);
    Carried(std::move(o), {}).complete();
    if (!part) return nullptr;
    auto split = std::unique_ptr<Watched>(new Watched(std::move(part), see_));
    splits_.push_back(split.get());
    return split;
  }

 private:
  Watched(std::unique_ptr<Communicator> inner, See see) : Watched(*inner, std::move(see)) { owned_ = std::move(inner); }

  std::unique_ptr<Communicator> owned_;
  Communicator& inner_;
  See see_;
  std::vector<const Watched*> splits_;
};

}  // namespace herd::test
