#pragma once

namespace herd {

/// `herd data audit RECIPE [key=value…] [--samples N]`: what the recipe's data become, before anything is trained.
int data_command(int argc, char** argv);

}  // namespace herd
