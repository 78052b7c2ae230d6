#pragma once
#include <functional>

#include "parallel/comm/communicator.h"

namespace herd {

/// Runs `body` as `ranks` ranks, each a thread of this process, and joins them. The first exception of any rank ends the others'
/// communication at once (CommError there) and is rethrown here. For tests: large matrices of ranks at no start-up cost.
void run_threads(int ranks, const std::function<void(Communicator&)>& body, CommOptions options = {});

}  // namespace herd
