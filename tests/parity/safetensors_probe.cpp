// Reads safetensors and writes them again, for comparison with Hugging Face's library:
//   safetensors_probe SOURCE DESTINATION [MAX_SHARD_BYTES]
// SOURCE is a file or a model's folder; DESTINATION a file, or with MAX_SHARD_BYTES a folder. A file that ends with .h5 is HDF5, its
// tensors flat; one that ends with .pth is written as torch.save does.
//   safetensors_probe --open SOURCE...
// prints what opening each says, a line a file.
//   safetensors_probe SOURCE --flip
// opens it with each byte changed, and cut off behind each: each time an error of ours, the same tensors, or others that verify() tells.
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>

#include "runtime/tensor/hdf5.h"
#include "runtime/tensor/safetensors.h"
#include "runtime/tensor/torch_file.h"
#include "runtime/tensor/weights.h"

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

using Tensors = std::map<std::string, herd::Tensor>;

Tensors tensors_of(const herd::WeightFile& file) {
  Tensors tensors;
  for (const auto& name : file.names()) tensors[name] = file.view(name).clone();
  return tensors;
}

bool same(const Tensors& a, const Tensors& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
    return x.first == y.first && x.second.scalar_type() == y.second.scalar_type() && x.second.sizes() == y.second.sizes() &&
           (x.second.numel() == 0 || std::memcmp(x.second.const_data_ptr(), y.second.const_data_ptr(), x.second.nbytes()) == 0);
  });
}

/// @return "" or what is wrong about what came of it.
std::string outcome(const std::string& path, const Tensors& expected, std::map<std::string, int>& counts) {
  try {
    const auto file = herd::open_weight_file(path);
    if (same(tensors_of(file), expected)) return ++counts["same"], "";
    try {
      file.verify();
    } catch (const herd::IoError&) {
      return ++counts["told by verify"], "";
    }
    return "other tensors, and nobody tells";
  } catch (const herd::Error&) {
    return ++counts["error"], "";
  } catch (const std::exception& error) {
    return std::string("an error of nobody's: ") + error.what();
  }
}

int open_each(int argc, char** argv) {
  for (int i = 2; i < argc; ++i) {
    std::string message = "opened";
    try {
      herd::open_weight_file(argv[i]);
    } catch (const herd::Error& error) {
      message = error.what();
    }
    std::replace(message.begin(), message.end(), '\n', ' ');
    std::printf("%s\n", message.c_str());
  }
  return 0;
}

int flip(const std::string& source) {
  const auto whole = herd::read_file(source);
  const auto expected = tensors_of(herd::open_weight_file(source));
  std::map<std::string, int> counts;
  const auto path = source + ".changed";
  int wrong = 0;
  const auto look = [&](const std::string& content, const char* what, std::size_t at) {
    std::filesystem::remove(path);  // writing over it would wait for the disk each time
    std::ofstream(path, std::ios::binary) << content;
    const auto message = outcome(path, expected, counts);
    if (!message.empty() && ++wrong < 10) std::fprintf(stderr, "%s byte %zu: %s\n", what, at, message.c_str());
  };
  for (std::size_t at = 0; at < whole.size(); ++at) {
    auto changed = whole;
    changed[at] = static_cast<char>(changed[at] ^ (1 << at % 8));
    look(changed, "changed", at);
    changed[at] = static_cast<char>(~whole[at]);
    look(changed, "inverted", at);
    if (at % 7 == 0) look(whole.substr(0, at), "cut behind", at);
  }
  for (const auto& [what, count] : counts) std::printf("%s %d\n", what.c_str(), count);
  return wrong > 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  try {
    if (argv[1] == std::string("--open")) return open_each(argc, argv);
    herd::SafetensorsMetadata metadata;
    const std::string destination = argv[2];
    if (destination == "--flip") return flip(argv[1]);
    const auto tensors = read(argv[1], metadata);
    if (argc > 3) herd::write_sharded_safetensors(destination, tensors, std::stoull(argv[3]));
    else if (destination.ends_with(".h5")) write_hdf5(destination, tensors);
    else if (destination.ends_with(".pth")) herd::stream_torch_file(destination, herd::to_write(tensors));
    else herd::write_safetensors(destination, tensors, metadata);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
