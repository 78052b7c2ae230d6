// Reads safetensors and writes them again, for comparison with Hugging Face's library:
//   safetensors_probe SOURCE DESTINATION [MAX_SHARD_BYTES]
// SOURCE is a file or a model's folder; DESTINATION a file, or with MAX_SHARD_BYTES a folder.
#include <cstdio>
#include <string>

#include "runtime/tensor/safetensors.h"

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  try {
    const auto weights = herd::open_weights(argv[1]);
    herd::NamedTensors tensors;
    for (const auto& name : weights.names()) {
      auto tensor = at::empty(weights.info(name).shape, at::TensorOptions(weights.info(name).dtype));
      weights.read_into(name, tensor);
      tensors.emplace_back(name, tensor);
    }
    if (argc > 3) herd::write_sharded_safetensors(argv[2], tensors, std::stoull(argv[3]));
    else herd::write_safetensors(argv[2], tensors, weights.files().front().metadata());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
