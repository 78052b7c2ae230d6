#include "runtime/tensor/safetensors.h"

#include <cstring>
#include <nlohmann/json.hpp>
#include <set>

#include "runtime/base/text.h"
#include "runtime/tensor/dtype.h"
#include "runtime/tensor/mapped_file.h"

namespace herd {
namespace {

using Json = nlohmann::json;

constexpr std::uint64_t kLengthBytes = 8;
constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;  // as Hugging Face's reader
constexpr const char* kAgain = "download or write the file again";

/// Bytes of a tensor of this shape, or nothing where the product overflows.
std::optional<std::uint64_t> bytes_of(const std::vector<std::int64_t>& shape, at::ScalarType dtype) {
  auto bytes = static_cast<std::uint64_t>(c10::elementSize(dtype));
  for (const auto size : shape)
    if (__builtin_mul_overflow(bytes, static_cast<std::uint64_t>(size), &bytes)) return std::nullopt;
  return bytes;
}

/// JSON with a complaint where a key comes twice, which the parser would let pass.
Json parse_header(std::string_view text, const std::string& who) {
  std::vector<std::set<std::string>> seen;
  std::string twice;
  const auto watch = [&](int, Json::parse_event_t event, Json& value) {
    if (event == Json::parse_event_t::object_start) seen.emplace_back();
    if (event == Json::parse_event_t::object_end) seen.pop_back();
    if (event == Json::parse_event_t::key && !seen.back().insert(value.get<std::string>()).second) twice = value.get<std::string>();
    return true;
  };
  try {
    auto json = Json::parse(text.begin(), text.end(), watch);
    if (!json.is_object()) throw IoError({.who = who, .found = "a header that is no JSON object", .expected = "{name: {…}}", .remedy = kAgain});
    if (!twice.empty()) throw IoError({.who = who, .found = "'" + twice + "' twice in the header", .expected = "each name once", .remedy = kAgain});
    return json;
  } catch (const nlohmann::json::exception& error) {
    throw IoError({.who = who, .found = std::string("a broken header (") + error.what() + ")", .expected = "JSON", .remedy = kAgain});
  }
}

}  // namespace

SafetensorsFile::SafetensorsFile(std::filesystem::path path) : file_(std::make_shared<File>(std::move(path), File::Mode::read)) {
  const auto name = this->path().string();
  const auto size = file_bytes(*file_);
  std::uint64_t header_bytes = 0;
  const auto too_short = [&](std::uint64_t wanted, const std::string& of) {
    throw IoError({.who = name,
                   .found = "only " + std::to_string(size) + " bytes",
                   .expected = std::to_string(wanted) + " for " + of,
                   .remedy = std::string("the file is cut off or no safetensors file: ") + kAgain});
  };
  if (size < kLengthBytes) too_short(kLengthBytes, "the header's length");
  std::memcpy(&header_bytes, MappedRange(*file_, 0, kLengthBytes).data(), kLengthBytes);
  if (header_bytes > kMaxHeaderBytes) {
    throw IoError({.who = name,
                   .found = "a header of " + human_bytes(header_bytes),
                   .expected = "at most " + human_bytes(kMaxHeaderBytes),
                   .remedy = std::string("this is no safetensors file, or a broken one: ") + kAgain});
  }
  if (header_bytes > size - kLengthBytes) too_short(kLengthBytes + header_bytes, "the header");
  const auto data_start = kLengthBytes + header_bytes;
  const MappedRange header(*file_, kLengthBytes, header_bytes);
  parse({static_cast<const char*>(header.data()), header_bytes}, data_start, size - data_start);
}

void SafetensorsFile::parse(std::string_view text, std::uint64_t data_start, std::uint64_t data_bytes) {
  const auto header = parse_header(text, path().string());
  std::vector<std::pair<std::uint64_t, std::string>> by_start;
  for (const auto& [name, entry] : header.items()) {
    const auto complain = [&, &name = name](std::string found, std::string expected) {
      throw IoError({.who = who(name), .found = std::move(found), .expected = std::move(expected), .remedy = kAgain});
    };
    if (name == "__metadata__") {
      if (!entry.is_object()) complain(entry.dump(), "an object of strings");
      for (const auto& [key, value] : entry.items()) {
        if (!value.is_string()) complain("'" + key + "': " + value.dump(), "a string");
        metadata_[key] = value.get<std::string>();
      }
      continue;
    }
    if (!entry.is_object() || entry.size() != 3 || !entry.contains("dtype") || !entry.contains("shape") || !entry.contains("data_offsets"))
      complain(entry.dump(), "dtype, shape and data_offsets");
    TensorInfo info;
    const auto dtype = entry["dtype"].is_string() ? dtype_from_name(entry["dtype"].get<std::string>()) : std::nullopt;
    if (!dtype) {
      std::vector<std::string> known;
      for (const auto type : stored_dtypes()) known.emplace_back(dtype_name(type));
      complain("dtype " + entry["dtype"].dump(), "one of " + join(known));
    }
    info.dtype = *dtype;
    const auto is_list = [](const Json& list) {
      return list.is_array() && std::all_of(list.begin(), list.end(), [](const Json& item) { return item.is_number_unsigned(); });
    };
    if (!is_list(entry["shape"])) complain("shape " + entry["shape"].dump(), "a list of sizes");
    info.shape = entry["shape"].get<std::vector<std::int64_t>>();
    if (!is_list(entry["data_offsets"]) || entry["data_offsets"].size() != 2) complain("data_offsets " + entry["data_offsets"].dump(), "[start, end]");
    const auto start = entry["data_offsets"][0].get<std::uint64_t>(), end = entry["data_offsets"][1].get<std::uint64_t>();
    const auto wanted = bytes_of(info.shape, info.dtype);
    if (end < start || !wanted || end - start != *wanted) {
      complain("data_offsets " + entry["data_offsets"].dump(), (wanted ? std::to_string(*wanted) + " bytes for " : "sizes that fit memory, not ") +
                                                                   std::string(dtype_name(info.dtype)) + " " + shape_text(info.shape));
    }
    if (end > data_bytes) {
      throw IoError({.who = who(name),
                     .found = "it ends at byte " + std::to_string(end) + " of " + std::to_string(data_bytes),
                     .expected = "an end inside the file",
                     .remedy = std::string("the file is cut off: ") + kAgain});
    }
    info.bytes = *wanted;
    info.offset = data_start + start;
    by_start.emplace_back(start, name);
    tensors_.emplace(name, std::move(info));
  }
  // Side by side from the first byte to the last; empty tensors may share a start with a full one.
  std::sort(by_start.begin(), by_start.end(), [&](const auto& a, const auto& b) {
    return std::pair(a.first, tensors_.at(a.second).bytes) < std::pair(b.first, tensors_.at(b.second).bytes);
  });
  std::uint64_t at = 0;
  for (const auto& [start, name] : by_start) {
    if (start != at) {
      throw IoError({.who = who(name),
                     .found = "it starts at byte " + std::to_string(start) + (start < at ? ", inside the tensor before it" : ", after a hole"),
                     .expected = "byte " + std::to_string(at),
                     .remedy = kAgain});
    }
    at += tensors_.at(name).bytes;
  }
  if (at != data_bytes) {
    throw IoError({.who = path().string(),
                   .found = std::to_string(data_bytes) + " bytes of tensors",
                   .expected = std::to_string(at) + " by its header",
                   .remedy = kAgain});
  }
}

std::string SafetensorsFile::who(const std::string& name) const { return path().string() + ": tensor '" + name + "'"; }

std::vector<std::string> SafetensorsFile::names() const {
  std::vector<std::string> names;
  for (const auto& entry : tensors_) names.push_back(entry.first);
  return names;
}

const TensorInfo& SafetensorsFile::info(const std::string& name) const {
  const auto found = tensors_.find(name);
  if (found != tensors_.end()) return found->second;
  const auto near = nearest(name, names());
  throw IoError({.who = path().string(),
                 .found = "no tensor '" + name + "' among its " + std::to_string(tensors_.size()),
                 .expected = "",
                 .remedy = near.empty() ? "" : "did you mean '" + near + "'?"});
}

Tensor SafetensorsFile::view(const std::string& name) const {
  const auto& info = this->info(name);
  const auto range = std::make_shared<MappedRange>(*file_, info.offset, info.bytes);
  const auto aligned = reinterpret_cast<std::uintptr_t>(range->data()) % c10::elementSize(info.dtype) == 0;
  if (info.bytes > 0 && aligned) return at::from_blob(range->data(), info.shape, [range](void*) {}, at::TensorOptions(info.dtype));
  auto copy = at::empty(info.shape, at::TensorOptions(info.dtype));
  if (info.bytes > 0) std::memcpy(copy.data_ptr(), range->data(), info.bytes);
  return copy;
}

void SafetensorsFile::read_into(const std::string& name, Tensor destination) const {
  const auto& info = this->info(name);
  if (!destination.defined() || !destination.device().is_cpu() || !destination.is_contiguous())
    throw ShapeError({.who = who(name), .found = "a destination that is not contiguous on the CPU", .expected = "", .remedy = ""});
  if (destination.sizes() != at::IntArrayRef(info.shape)) {
    throw ShapeError({.who = who(name),
                      .found = "shape " + shape_text(info.shape) + " in the file",
                      .expected = shape_text(destination.sizes()),
                      .remedy = "the file belongs to a model of another size or vocabulary"});
  }
  const at::NoGradGuard no_grad;
  destination.copy_(view(name));
}

}  // namespace herd
