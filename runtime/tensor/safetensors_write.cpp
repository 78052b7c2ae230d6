#include <nlohmann/json.hpp>

#include "runtime/base/text.h"
#include "runtime/tensor/dtype.h"
#include "runtime/tensor/safetensors.h"

namespace herd {
namespace {

namespace fs = std::filesystem;

std::uint64_t bytes_of(const Tensor& tensor) { return static_cast<std::uint64_t>(tensor.nbytes()); }

void check(const fs::path& path, const NamedTensors& tensors) {
  std::map<std::string, int> seen;
  for (const auto& [name, tensor] : tensors) {
    const auto complain = [&, &name = name](std::string found, std::string expected) {
      throw ShapeError({.who = path.string() + ": tensor '" + name + "'", .found = std::move(found), .expected = std::move(expected), .remedy = ""});
    };
    if (name == "__metadata__" || seen[name]++ > 0) complain("its name is taken", "each name once");
    if (!tensor.defined() || tensor.is_meta()) complain("no values", "a tensor to write");
    if (dtype_name(tensor.scalar_type()).empty()) complain(c10::toString(tensor.scalar_type()), "a dtype that safetensors stores");
  }
}

/// Hugging Face's order: the widest alignment first, then names, so that every tensor starts aligned.
NamedTensors in_file_order(NamedTensors tensors) {
  const auto& dtypes = stored_dtypes();
  const auto place = [&](const Tensor& t) { return std::find(dtypes.begin(), dtypes.end(), t.scalar_type()) - dtypes.begin(); };
  std::sort(tensors.begin(), tensors.end(), [&](const auto& a, const auto& b) {
    const auto width_a = place(a.second), width_b = place(b.second);
    return width_a != width_b ? width_a > width_b : a.first < b.first;
  });
  return tensors;
}

std::string header_of(const NamedTensors& tensors, const SafetensorsMetadata& metadata) {
  auto header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::uint64_t at = 0;
  for (const auto& [name, tensor] : tensors) {
    const auto end = at + bytes_of(tensor);
    header[name] = {{"dtype", dtype_name(tensor.scalar_type())}, {"shape", tensor.sizes().vec()}, {"data_offsets", {at, end}}};
    at = end;
  }
  auto text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const auto length = static_cast<std::uint64_t>(text.size());
  return std::string(reinterpret_cast<const char*>(&length), sizeof length) + text;
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

void write_safetensors(const fs::path& path, const NamedTensors& tensors, const SafetensorsMetadata& metadata) {
  check(path, tensors);
  const auto ordered = in_file_order(tensors);
  write_file_atomically(path, [&](File& file) {
    file.write(header_of(ordered, metadata));
    for (const auto& [name, tensor] : ordered) {
      const auto dense = tensor.detach().cpu().contiguous();
      file.write({static_cast<const char*>(dense.const_data_ptr()), static_cast<std::size_t>(bytes_of(dense))});
    }
  });
}

std::vector<fs::path> write_sharded_safetensors(const fs::path& folder, const NamedTensors& tensors, std::uint64_t max_shard_bytes,
                                                const std::string& stem) {
  check(folder, tensors);
  std::vector<NamedTensors> shards(1);
  std::uint64_t total = 0, in_shard = 0;
  for (const auto& entry : tensors) {
    const auto bytes = bytes_of(entry.second);
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
    write_safetensors(written.back(), tensors);
  } else {
    nlohmann::json index{{"metadata", {{"total_size", total}}}, {"weight_map", nlohmann::json::object()}};
    for (std::size_t i = 0; i < shards.size(); ++i) {
      written.push_back(folder / shard_name(stem, i + 1, shards.size()));
      write_safetensors(written.back(), shards[i]);
      for (const auto& entry : shards[i]) index["weight_map"][entry.first] = written.back().filename().string();
    }
    written.push_back(folder / (stem + ".safetensors.index.json"));
    write_file_atomically(written.back(), index.dump(2) + "\n");
  }
  remove_others(folder, stem, written);
  return written;
}

}  // namespace herd
