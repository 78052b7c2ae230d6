#pragma once

namespace herd {

/// `herd model list | inspect DIR | init DIR | convert SRC DST`.
int model_command(int argc, char** argv);

}  // namespace herd
