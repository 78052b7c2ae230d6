#include "parallel/strategy.h"

#include "parallel/ddp.h"

namespace herd {

const Table<StrategyEntry>& strategies() {
  static const Table<StrategyEntry> table{"strategy",
                                          {
                                              {"ddp", {make_ddp, "every rank holds the model, gradients are summed"}},
                                          }};
  return table;
}

}  // namespace herd
