#pragma once
#include "infer/engine.h"
#include "parallel/comm/communicator.h"
#include "parallel/strategy.h"

namespace herd {

/// A model that ranks hold in parts (parallel.strategy zero3, Rajbhandari et al. 2020), where each answers requests of its own: no rank needs room for
/// more than its part and a few blocks. A pass of one rank gathers blocks from all, so all take part in it, those that have nothing to run as well.
class SharedModel {
 public:
  /// @param strategy of the same communicator; both outlive this.
  SharedModel(Strategy& strategy, Communicator& communicator) : strategy_(strategy), communicator_(communicator) {}

  /// For an engine. All ranks' passes go side by side, the first with the others' first: a rank that has run its last calls finish().
  Tensor next_logits(const Batch& batch, KvCache& cache);
  /// Takes part in one pass of the others, for a rank that has nothing to run. @return false where no rank has.
  bool take_part();
  /// All of them, until no rank has any.
  void finish() {
    while (take_part()) {}
  }

 private:
  bool anyone_runs(bool i_do);

  Strategy& strategy_;
  Communicator& communicator_;
};

}  // namespace herd
