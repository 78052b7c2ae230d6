#pragma once

namespace herd {

/// `herd plan RECIPE --ranks N`: what a run would take, without running it.
int plan_command(int argc, char** argv);

}  // namespace herd
