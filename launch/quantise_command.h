#pragma once

namespace herd {

/// `herd quantize …`: a dense model's linear layers in few bits, by GPTQ. See commands.h.
int quantise_command(int argc, char** argv);

}  // namespace herd
