#pragma once

namespace herd {

/// `herd peft list|explain METHOD`: the methods, what each reads, leaves and merges to.
int peft_command(int argc, char** argv);

}  // namespace herd
