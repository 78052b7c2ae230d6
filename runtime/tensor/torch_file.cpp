#include "runtime/tensor/torch_file.h"

#include <algorithm>
#include <map>
#include <unordered_map>

#include "runtime/base/text.h"
#include "runtime/tensor/crc32.h"
#include "runtime/tensor/mapped_file.h"
#include "runtime/tensor/pickle.h"
#include "runtime/tensor/zip.h"

namespace herd {
namespace {

constexpr std::uint64_t kMaxPickleBytes = 32u << 20;  // of a 70B model some 200 KiB; each byte may become a value of some 100 bytes
constexpr const char* kPickle = "/data.pkl";

std::string start_of(const File& file) {
  const auto bytes = std::min<std::uint64_t>(file_bytes(file), 9);
  const MappedRange range(file, 0, bytes);
  return bytes == 0 ? "" : std::string(static_cast<const char*>(range.data()), bytes);
}

// A safetensors file begins with the length of its header, which may look like a pickle's first bytes, and then the header's brace.
bool is_bare_pickle(const std::string& start) {
  return start.size() >= 2 && start[0] == '\x80' && start[1] >= 1 && start[1] <= 5 && !(start.size() == 9 && start[8] == '{');
}

using NamedPickledTensors = std::vector<std::pair<std::string_view, const PickledTensor*>>;

bool is_tensor(const std::pair<PickledRef, PickledRef>& item) { return item.first->get<std::string_view>() && item.second->get<PickledTensor>(); }

/// {name: tensor} of a dict, without what else it holds.
NamedPickledTensors tensors_in(const PickledDict& dict) {
  NamedPickledTensors tensors;
  for (const auto& item : dict.items)
    if (is_tensor(item)) tensors.emplace_back(*item.first->get<std::string_view>(), item.second->get<PickledTensor>());
  return tensors;
}

/// The dicts of tensors in a dict, with their keys. One dict may be there under many keys: each is looked at once.
std::vector<std::pair<std::string_view, const PickledDict*>> dicts_of_tensors(const PickledDict& dict) {
  std::vector<std::pair<std::string_view, const PickledDict*>> found;
  std::unordered_map<const PickledDict*, bool> known;
  for (const auto& [key, value] : dict.items) {
    const auto* inner = value->get<PickledDict>();
    if (!inner || !key->get<std::string_view>()) continue;
    const auto [at, fresh] = known.emplace(inner, false);
    if (fresh) at->second = std::any_of(inner->items.begin(), inner->items.end(), is_tensor);
    if (at->second) found.emplace_back(*key->get<std::string_view>(), inner);
  }
  return found;
}

// The state_dict: what the dict holds under a usual name, or the dict itself, or the only dict of tensors in it.
NamedPickledTensors state_dict(const Pickled& root, const std::string& who) {
  constexpr std::size_t kShown = 8;
  const auto* dict = root.get<PickledDict>();
  const auto found = dict ? dicts_of_tensors(*dict) : std::vector<std::pair<std::string_view, const PickledDict*>>();
  for (const std::string_view usual : {"model", "state_dict", "model_state_dict", "module"}) {
    const auto at = std::find_if(found.begin(), found.end(), [&](const auto& entry) { return entry.first == usual; });
    if (at != found.end()) return tensors_in(*at->second);
  }
  if (auto tensors = dict ? tensors_in(*dict) : NamedPickledTensors(); !tensors.empty()) return tensors;
  if (found.size() == 1) return tensors_in(*found.front().second);
  std::vector<std::string> keys;
  for (std::size_t i = 0; i < std::min(found.size(), kShown); ++i) keys.push_back("'" + shortened(found[i].first) + "'");
  throw IoError({.who = who,
                 .found = found.empty() ? "no dict of tensors" : "dicts of tensors under " + join(keys) + (found.size() > kShown ? ", …" : ""),
                 .expected = "a state_dict, or one under 'model' or 'state_dict'",
                 .remedy = "load it in Python and save its state_dict alone"});
}

std::string_view common_prefix_of(const NamedPickledTensors& tensors) {
  for (const std::string_view prefix : {"_orig_mod.", "module."})
    if (std::all_of(tensors.begin(), tensors.end(), [&](const auto& t) { return t.first.starts_with(prefix); })) return prefix;
  return "";
}

/// The members `FOLDER/data/KEY` by their keys.
std::map<std::string_view, const ZipMember*> storages_in(const std::map<std::string, ZipMember>& members, const std::string& folder) {
  std::map<std::string_view, const ZipMember*> storages;
  const auto start = folder + "data/";
  for (const auto& [name, member] : members)
    if (name.starts_with(start)) storages.emplace(std::string_view(name).substr(start.size()), &member);
  return storages;
}

bool lie_row_by_row(const std::vector<std::int64_t>& shape, const std::vector<std::int64_t>& strides) {
  std::int64_t next = 1;
  for (auto i = shape.size(); i-- > 0;) {
    if (shape[i] != 1 && strides[i] != next) return false;
    next *= shape[i];
  }
  return true;
}

}  // namespace

bool is_torch_file(const std::filesystem::path& path) {
  const auto start = start_of(File(path, File::Mode::read));
  return start.starts_with("PK") || is_bare_pickle(start);
}

TorchFile::TorchFile(std::filesystem::path path) : WeightFile(std::move(path)) {
  const auto name = this->path().string();
  if (is_bare_pickle(start_of(*file_)))
    throw IoError({.who = name,
                   .found = "a file of torch.save from before PyTorch 1.6",
                   .expected = "the zip archive that it writes since",
                   .remedy = "convert once in Python: torch.save(torch.load(FILE, weights_only=True), NEW_FILE)"});
  const auto members = read_zip(*file_);
  const auto broken = [](const std::string& who, const std::string& found, const std::string& expected) {
    throw IoError({.who = who, .found = found, .expected = expected, .remedy = "download or write the file again"});
  };
  const auto text_of = [&](const std::string& of, const ZipMember& member) {
    const MappedRange range(*file_, member.offset, member.bytes);
    const std::string text(static_cast<const char*>(range.data()), member.bytes);
    if (crc32_of(text) != member.crc) broken(name + ": '" + of + "'", "bytes that do not fit their checksum", "what was written");
    return text;
  };
  const auto pickle_at = std::find_if(members.begin(), members.end(), [](const auto& member) {
    return member.first.ends_with(kPickle) && member.first.find('/') == member.first.size() - std::string_view(kPickle).size();
  });
  if (pickle_at == members.end()) broken(name, "no data.pkl in the archive", "what torch.save writes");
  const auto folder = pickle_at->first.substr(0, pickle_at->first.size() - std::string_view(kPickle).size()) + "/";
  if (const auto order = members.find(folder + "byteorder"); order != members.end() && text_of(order->first, order->second) != "little")
    broken(name, "byte order '" + text_of(order->first, order->second) + "'", "little");
  if (pickle_at->second.bytes > kMaxPickleBytes)
    broken(name, "a pickle of " + human_bytes(pickle_at->second.bytes), "at most " + human_bytes(kMaxPickleBytes));
  const Pickle pickle(text_of(pickle_at->first, pickle_at->second), name);
  const auto storages = storages_in(members, folder);
  const auto tensors = state_dict(pickle.root(), name);
  const auto prefix = common_prefix_of(tensors);
  for (const auto& [full_name, tensor] : tensors) {
    const std::string short_name(full_name.substr(prefix.size()));
    const auto& storage = *tensor->storage;
    const auto data = storages.find(storage.key);
    const auto wanted = static_cast<std::uint64_t>(storage.elements) * c10::elementSize(storage.dtype);
    if (data == storages.end()) broken(who(short_name), "no 'data/" + std::string(storage.key) + "' in the archive", "the storage of its elements");
    if (data->second->bytes != wanted) broken(who(short_name), std::to_string(data->second->bytes) + " bytes of storage", std::to_string(wanted));
    TensorInfo info{.dtype = tensor->dtype, .shape = tensor->shape()};
    info.bytes = *bytes_of(info.shape, info.dtype);
    info.offset = data->second->offset + static_cast<std::uint64_t>(tensor->offset) * c10::elementSize(info.dtype);
    if (auto strides = tensor->strides(); !lie_row_by_row(info.shape, strides)) info.strides = std::move(strides);
    const auto place = tensors_.emplace(short_name, std::move(info));
    if (!place.second) broken(who(shortened(short_name)), "it is there twice", "each name once");
  }
  for (const auto& [of, member] : members) checksums_.push_back({of, member.offset, member.bytes, member.crc});
}

}  // namespace herd
