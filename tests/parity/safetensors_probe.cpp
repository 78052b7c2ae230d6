// Reads safetensors and writes them again, for comparison with Hugging Face's library:
//   safetensors_probe SOURCE DESTINATION [MAX_SHARD_BYTES]
// SOURCE is a file or a model's folder; DESTINATION a file, or with MAX_SHARD_BYTES a folder. A file that ends with .h5 is HDF5, its
// tensors flat.
#include <cstdio>
#include <string>

#include "runtime/tensor/hdf5.h"
#include "runtime/tensor/safetensors.h"

namespace {

herd::NamedTensors read(const std::string& source, herd::SafetensorsMetadata& metadata) {
  herd::NamedTensors tensors;
  if (source.ends_with(".h5")) {
    const herd::Hdf5Reader file(source);
    for (const auto& name : file.datasets()) {
      tensors.emplace_back(name, at::empty({file.info(name).elements}, at::TensorOptions(file.info(name).dtype)));
      file.read(name, 0, tensors.back().second);
    }
    return tensors;
  }
  const auto weights = herd::open_weights(source);
  metadata = weights.files().front().metadata();
  for (const auto& name : weights.names()) {
    tensors.emplace_back(name, at::empty(weights.info(name).shape, at::TensorOptions(weights.info(name).dtype)));
    weights.read_into(name, tensors.back().second);
  }
  return tensors;
}

void write_hdf5(const std::string& destination, const herd::NamedTensors& tensors) {
  herd::Hdf5Writer writer(destination);
  writer.attribute("format", "herd 格式");
  for (const auto& [name, tensor] : tensors) writer.write(name, tensor);
  writer.finish();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  try {
    herd::SafetensorsMetadata metadata;
    const std::string destination = argv[2];
    const auto tensors = read(argv[1], metadata);
    if (argc > 3) herd::write_sharded_safetensors(destination, tensors, std::stoull(argv[3]));
    else if (destination.ends_with(".h5")) write_hdf5(destination, tensors);
    else herd::write_safetensors(destination, tensors, metadata);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
