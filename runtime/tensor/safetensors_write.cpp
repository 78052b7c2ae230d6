#include <nlohmann/json.hpp>

#include "runtime/base/text.h"
#include "runtime/tensor/dtype.h"
#include "runtime/tensor/safetensors.h"

namespace herd {
namespace {

namespace fs = std::filesystem;

using Tensors = std::vector<TensorToWrite>;

/// Hugging Face's order: the widest alignment first, then names, so that every tensor starts aligned.
Tensors in_file_order(Tensors tensors) {
  const auto& dtypes = stored_dtypes();
  const auto place = [&](const TensorToWrite& t) { return std::find(dtypes.begin(), dtypes.end(), t.dtype) - dtypes.begin(); };
  std::sort(tensors.begin(), tensors.end(), [&](const auto& a, const auto& b) {
    const auto width_a = place(a), width_b = place(b);
    return width_a != width_b ? width_a > width_b : a.name < b.name;
  });
  return tensors;
}

std::string header_of(const Tensors& tensors, const SafetensorsMetadata& metadata) {
  auto header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::uint64_t at = 0;
  for (const auto& tensor : tensors) {
    const auto end = at + tensor.bytes();
    header[tensor.name] = {{"dtype", dtype_name(tensor.dtype)}, {"shape", tensor.shape}, {"data_offsets", {at, end}}};
    at = end;
  }
  auto text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const auto length = static_cast<std::uint64_t>(text.size());
  return std::string(reinterpret_cast<const char*>(&length), sizeof length) + text;
}

void write_values(File& file, const TensorToWrite& tensor) {
  std::uint64_t written = 0;
  bool dtype_fits = true;
  tensor.values([&](const Tensor& piece) {
    dtype_fits = dtype_fits && piece.scalar_type() == tensor.dtype && piece.is_contiguous();
    written += piece.nbytes();
    file.write({static_cast<const char*>(piece.const_data_ptr()), piece.nbytes()});
  });
  if (dtype_fits && written == tensor.bytes()) return;
  throw ShapeError({.who = file.path().string() + ": tensor '" + tensor.name + "'",
                    .found = std::to_string(written) + " bytes of values" + (dtype_fits ? "" : " of another dtype"),
                    .expected = std::to_string(tensor.bytes()) + " of " + std::string(dtype_name(tensor.dtype)),
                    .remedy = ""});
}

std::string shard_name(const std::string& stem, std::size_t number, std::size_t count) {
  const auto padded = [](std::size_t value) {
    auto text = std::to_string(value);
    return std::string(5 - std::min<std::size_t>(5, text.size()), '0') + text;
  };
  return stem + "-" + padded(number) + "-of-" + padded(count) + ".safetensors";
}

/// Whether `name` is `<stem>-NNNNN-of-NNNNN.safetensors`.
bool is_shard(const std::string& name, const std::string& stem) {
  const std::string pattern = stem + "-00000-of-00000.safetensors";
  if (name.size() != pattern.size()) return false;
  for (std::size_t i = 0; i < name.size(); ++i) {
    const bool digit = i > stem.size() && pattern[i] == '0';
    if (digit ? name[i] < '0' || name[i] > '9' : name[i] != pattern[i]) return false;
  }
  return true;
}

/// What an earlier call left and this one did not write; readers would take it for part of the model.
void remove_others(const fs::path& folder, const std::string& stem, const std::vector<fs::path>& written) {
  std::vector<fs::path> stale;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const auto name = entry.path().filename().string();
    const bool ours = name == stem + ".safetensors" || name == stem + ".safetensors.index.json" || is_shard(name, stem);
    if (ours && std::find(written.begin(), written.end(), folder / name) == written.end()) stale.push_back(entry.path());
  }
  for (const auto& path : stale) {
    std::error_code error;
    if (!fs::remove(path, error)) throw io_error(path, "cannot remove what an earlier save left", error.value());
  }
}

}  // namespace

std::uint64_t TensorToWrite::bytes() const {
  return static_cast<std::uint64_t>(c10::multiply_integers(shape)) * c10::elementSize(dtype);
}

void check_writable(const fs::path& path, const Tensors& tensors) {
  std::map<std::string, int> seen;
  for (const auto& tensor : tensors) {
    const auto complain = [&](std::string found, std::string expected) {
      throw ShapeError({.who = path.string() + ": tensor '" + tensor.name + "'", .found = std::move(found), .expected = std::move(expected), .remedy = ""});
    };
    if (tensor.name == "__metadata__" || seen[tensor.name]++ > 0) complain("its name is taken", "each name once");
    if (!tensor.values) complain("no values", "a tensor to write");
    if (dtype_name(tensor.dtype).empty()) complain(c10::toString(tensor.dtype), "a dtype that safetensors stores");
  }
}

std::vector<TensorToWrite> to_write(const NamedTensors& tensors) {
  Tensors all;
  for (const auto& [name, tensor] : tensors) {
    const bool writable = tensor.defined() && !tensor.is_meta();
    all.push_back({name, tensor.defined() ? tensor.scalar_type() : at::kFloat, tensor.defined() ? tensor.sizes().vec() : std::vector<std::int64_t>(), {}});
    if (writable) all.back().values = [tensor = tensor](const TakePiece& take) { take(tensor.detach().cpu().contiguous()); };
  }
  return all;
}

void stream_safetensors(const fs::path& path, const Tensors& tensors, const SafetensorsMetadata& metadata) {
  check_writable(path, tensors);
  const auto ordered = in_file_order(tensors);
  write_file_atomically(path, [&](File& file) {
    file.write(header_of(ordered, metadata));
    for (const auto& tensor : ordered) write_values(file, tensor);
  });
}

void write_safetensors(const fs::path& path, const NamedTensors& tensors, const SafetensorsMetadata& metadata) {
  stream_safetensors(path, to_write(tensors), metadata);
}

std::vector<fs::path> write_sharded_safetensors(const fs::path& folder, const NamedTensors& tensors, std::uint64_t max_shard_bytes,
                                                const std::string& stem) {
  return stream_sharded_safetensors(folder, to_write(tensors), max_shard_bytes, stem);
}

std::vector<fs::path> stream_sharded_safetensors(const fs::path& folder, const Tensors& tensors, std::uint64_t max_shard_bytes,
                                                 const std::string& stem) {
  check_writable(folder, tensors);
  std::vector<Tensors> shards(1);
  std::uint64_t total = 0, in_shard = 0;
  for (const auto& entry : tensors) {
    const auto bytes = entry.bytes();
    if (!shards.back().empty() && in_shard + bytes > max_shard_bytes) {
      shards.emplace_back();
      in_shard = 0;
    }
    shards.back().push_back(entry);
    in_shard += bytes;
    total += bytes;
  }
  make_folder(folder);
  std::vector<fs::path> written;
  if (shards.size() == 1) {
    written.push_back(folder / (stem + ".safetensors"));
    stream_safetensors(written.back(), tensors);
  } else {
    nlohmann::json index{{"metadata", {{"total_size", total}}}, {"weight_map", nlohmann::json::object()}};
    for (std::size_t i = 0; i < shards.size(); ++i) {
      written.push_back(folder / shard_name(stem, i + 1, shards.size()));
      stream_safetensors(written.back(), shards[i]);
      for (const auto& entry : shards[i]) index["weight_map"][entry.name] = written.back().filename().string();
    }
    written.push_back(folder / (stem + ".safetensors.index.json"));
    write_file_atomically(written.back(), index.dump(2) + "\n");
  }
  remove_others(folder, stem, written);
  return written;
}

}  // namespace herd
