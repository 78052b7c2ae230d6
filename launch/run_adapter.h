#pragma once
#include "launch/run_config.h"

namespace herd {

/// Said of this run, and not of all that include the same preset.
bool is_own(const Origin& origin);

/// Where peft.adapter names an adapter to go on from: lays what its adapter_config.json says into the `peft` section, with the origin
/// `from adapter FOLDER`, in place of defaults and of what includes say. Dropout is no part of an adapter's shape: a recipe's own stays.
/// @throws ConfigError where the recipe itself or the command line says another shape, naming both; and as read_adapter_options does.
void adopt_adapter(ResolvedRun& run);

}  // namespace herd
