#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "parallel/comm/communicator.h"
#include "parallel/parallel_options.h"
#include "runtime/base/registry.h"
#include "runtime/nn/causal_lm.h"
#include "runtime/nn/slice.h"

namespace herd {

/// What one rank saw of a gradient that is not finite.
struct Fault {
  std::string where;  ///< "the loss" or a parameter's name
};

/// What a rank holds of the model at the moment, bytes.
struct Resident {
  std::int64_t parameters = 0;  ///< its own and those gathered
  std::int64_t gradients = 0;   ///< its own and those on their way; not what autograd has just made
};

/// How a model's training is spread over ranks. One optimizer step is:
/// forward_backward for each micro-batch, finish_gradients, read and scale gradients, update the slices' values, values_changed.
/// All ranks make all calls together, with as many micro-batches: a rank that has none brings one without rows.
class Strategy {
 public:
  virtual ~Strategy() = default;

  /// Adds a micro-batch's gradients. Communication runs beside the backward of the last one alone.
  /// @param scale factor of the gradient: 1 / supervised tokens of the global batch, times the loss scale.
  /// @return the micro-batch's summed loss, nats.
  virtual double forward_backward(const Batch& batch, double scale, bool last) = 0;
  /// A micro-batch's summed loss, nats, without gradients.
  virtual double forward_loss(const Batch& batch) = 0;
  /// Pass::next_logits: what follows each row's last token. For answering; nothing is trained beside it.
  virtual Tensor next_logits(const Batch& batch, KvCache& cache) = 0;
  /// Waits until the slices hold the sum over all ranks. @throws CommError.
  virtual void finish_gradients() = 0;
  /// What was not finite on this rank in this step, before anything was summed; asked for between the two calls above or after.
  virtual const std::optional<Fault>& fault() const = 0;

  /// Euclidean norm of the summed gradient over all parameters and ranks, the same on every rank.
  virtual double gradient_norm() = 0;
  virtual void scale_gradients(double factor) = 0;
  /// What this rank updates: under ddp whole parameters, under ZeRO parts.
  virtual std::span<Slice> slices() = 0;
  /// Sums over the ranks whose slices together are whole parameters, in place.
  virtual void sum_over_parts(Tensor& x) = 0;
  /// The optimizer has changed the slices' values: bring the whole parameters in line.
  virtual void values_changed() = 0;

  /// Runs `f` while the model's parameters are whole on every rank: all of them, or the trained ones. Outside of it and of the three forward
  /// calls a parameter may be without memory. `f` makes no collective calls; all ranks call this together.
  virtual void with_whole_parameters(bool frozen_too, const std::function<void()>& f) = 0;

  virtual Resident resident() const = 0;
  /// Ranks that have the same slices.
  virtual int copies() const = 0;
};

struct StrategyContext {
  CausalLm& model;
  Communicator& communicator;
  ParallelOptions options;
  std::int64_t recompute_every = 0;  ///< activation checkpointing: see Pass
  ReadParameter read{};              ///< values of parameters on the meta device: a rank reads what it keeps
};

/// What a strategy keeps in parts: its row in the table.
struct StrategyEntry {
  enum class Share { kNothing, kAllRanks, kNode };  ///< the ranks among which states are cut
  Share share = Share::kNothing;
  bool gradients = false;   ///< cut as soon as they are there, not with the last micro-batch
  bool parameters = false;  ///< cut too, frozen ones as well
  std::string summary;

  std::unique_ptr<Strategy> make(const StrategyContext& context) const;
};

/// Every strategy by its name in `parallel.strategy`.
const Table<StrategyEntry>& strategies();

}  // namespace herd
