#include "runtime/tensor/torch_file.h"

#include <algorithm>
#include <array>

#include "runtime/base/text.h"
#include "runtime/tensor/crc32.h"
#include "runtime/tensor/mapped_file.h"
#include "runtime/tensor/pickle.h"
#include "runtime/tensor/zip.h"

namespace herd {
namespace {

constexpr std::uint64_t kMaxPickleBytes = 32u << 20;  // of a 70B model some 200 KiB; each byte may become a value of some 70
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

// {name: tensor} of a dict, without what else it holds.
std::vector<std::pair<std::string, const PickledTensor*>> tensors_in(const Pickled& value) {
  std::vector<std::pair<std::string, const PickledTensor*>> tensors;
  if (const auto* dict = value.get<PickledDict>())
    for (const auto& [key, item] : dict->items)
      if (key->get<std::string>() && item->get<PickledTensor>()) tensors.emplace_back(*key->get<std::string>(), item->get<PickledTensor>());
  return tensors;
}

// The state_dict: what the dict holds under a usual name, or the dict itself, or the only dict of tensors in it.
std::vector<std::pair<std::string, const PickledTensor*>> state_dict(const Pickled& root, const std::string& who) {
  std::map<std::string, std::vector<std::pair<std::string, const PickledTensor*>>> found;
  if (const auto* dict = root.get<PickledDict>())
    for (const auto& [key, item] : dict->items)
      if (auto tensors = tensors_in(*item); key->get<std::string>() && !tensors.empty()) found[*key->get<std::string>()] = std::move(tensors);
  for (const auto* usual : {"model", "state_dict", "model_state_dict", "module"})
    if (const auto at = found.find(usual); at != found.end()) return at->second;
  if (auto tensors = tensors_in(root); !tensors.empty()) return tensors;
  if (found.size() == 1) return found.begin()->second;
  std::vector<std::string> keys;
  for (const auto& entry : found) keys.push_back("'" + entry.first + "'");
  throw IoError({.who = who,
                 .found = found.empty() ? "no dict of tensors" : "dicts of tensors under " + join(keys),
                 .expected = "a state_dict, or one under 'model' or 'state_dict'",
                 .remedy = "load it in Python and save its state_dict alone"});
}

std::string common_prefix_of(const std::vector<std::pair<std::string, const PickledTensor*>>& tensors) {
  for (const std::string prefix : {"_orig_mod.", "module."})
    if (std::all_of(tensors.begin(), tensors.end(), [&](const auto& t) { return t.first.starts_with(prefix); })) return prefix;
  return "";
}

bool lies_row_by_row(const PickledTensor& tensor) {
  std::int64_t next = 1;
  for (auto i = tensor.shape.size(); i-- > 0;) {
    if (tensor.shape[i] != 1 && tensor.strides[i] != next) return false;
    next *= tensor.shape[i];
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
  const auto text = text_of(pickle_at->first, pickle_at->second);
  const Pickle pickle(text, name);
  const auto tensors = state_dict(pickle.root(), name);
  const auto prefix = common_prefix_of(tensors);
  for (const auto& [full_name, tensor] : tensors) {
    const auto short_name = full_name.substr(prefix.size());
    const auto& storage = tensor->storage;
    const auto data = members.find(folder + "data/" + storage.key);
    const auto wanted = static_cast<std::uint64_t>(storage.elements) * c10::elementSize(storage.dtype);
    if (data == members.end()) broken(who(short_name), "no 'data/" + storage.key + "' in the archive", "the storage of its elements");
    if (data->second.bytes != wanted) broken(who(short_name), std::to_string(data->second.bytes) + " bytes of storage", std::to_string(wanted));
    TensorInfo info{.dtype = tensor->dtype, .shape = tensor->shape};
    info.bytes = *bytes_of(tensor->shape, tensor->dtype);
    info.offset = data->second.offset + static_cast<std::uint64_t>(tensor->offset) * c10::elementSize(tensor->dtype);
    if (!lies_row_by_row(*tensor)) info.strides = tensor->strides;
    if (!tensors_.emplace(short_name, info).second) broken(who(short_name), "it is there twice", "each name once");
  }
  for (const auto& [of, member] : members) checksums_.push_back({of, member.offset, member.bytes, member.crc});
}

}  // namespace herd
