#pragma once

namespace herd {

/// herd merge --model BASE --adapter DIR --output DIR [--dtype …] [--quantization …] [--max-deviation X]: see launch/merge.h.
int merge_command(int argc, char** argv);

}  // namespace herd
