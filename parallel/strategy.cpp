#include "parallel/strategy.h"

#include "parallel/zero.h"

namespace herd {

std::unique_ptr<Strategy> StrategyEntry::make(const StrategyContext& context) const { return make_zero(*this, context); }

const Table<StrategyEntry>& strategies() {
  using Share = StrategyEntry::Share;
  static const Table<StrategyEntry> table{
      "strategy",
      {
          {"ddp", {Share::kNothing, false, false, "every rank holds the model, gradients are summed"}},
          {"zero1", {Share::kAllRanks, false, false, "optimizer state in parts"}},
          {"zero2", {Share::kAllRanks, true, false, "gradients in parts too"}},
          {"zero3", {Share::kAllRanks, true, true, "parameters in parts too, gathered block by block"}},
          {"hsdp", {Share::kNode, true, true, "zero3 inside a node, copies across nodes"}},
      }};
  return table;
}

}  // namespace herd
