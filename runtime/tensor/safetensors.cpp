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

/// JSON with a complaint where a key comes twice, which the parser would let pass, and where it is deeper than a header is: printing recurses.
Json parse_header(std::string_view text, const std::string& who) {
  std::vector<std::set<std::string>> seen;
  std::string twice;
  int deepest = 0;
  const auto watch = [&](int depth, Json::parse_event_t event, Json& value) {
    deepest = std::max(deepest, depth);
    if (event == Json::parse_event_t::object_start) seen.emplace_back();
    if (event == Json::parse_event_t::object_end) seen.pop_back();
    if (event == Json::parse_event_t::key && !seen.back().insert(value.get<std::string>()).second) twice = value.get<std::string>();
    return true;
  };
  try {
    auto json = Json::parse(text.begin(), text.end(), watch);
    if (constexpr int kDepth = 4; deepest > kDepth)
      throw IoError({.who = who, .found = "a header of " + std::to_string(deepest) + " levels", .expected = "{name: {…}}", .remedy = kAgain});
    if (!json.is_object()) throw IoError({.who = who, .found = "a header that is no JSON object", .expected = "{name: {…}}", .remedy = kAgain});
    if (!twice.empty()) throw IoError({.who = who, .found = "'" + twice + "' twice in the header", .expected = "each name once", .remedy = kAgain});
    return json;
  } catch (const nlohmann::json::exception& error) {
    throw IoError({.who = who, .found = std::string("a broken header (") + error.what() + ")", .expected = "JSON", .remedy = kAgain});
  }
}

[[noreturn]] void complain(const std::string& who, std::string found, std::string expected) {
  throw IoError({.who = who, .found = std::move(found), .expected = std::move(expected), .remedy = kAgain});
}

std::map<std::string, std::string> parse_metadata(const Json& entry, const std::string& who) {
  if (!entry.is_object()) complain(who, entry.dump(), "an object of strings");
  std::map<std::string, std::string> metadata;
  for (const auto& [key, value] : entry.items()) {
    if (!value.is_string()) complain(who, "'" + key + "': " + value.dump(), "a string");
    metadata[key] = value.get<std::string>();
  }
  return metadata;
}

at::ScalarType parse_dtype(const Json& name, const std::string& who) {
  if (const auto dtype = name.is_string() ? dtype_from_name(name.get<std::string>()) : std::nullopt) return *dtype;
  std::vector<std::string> known;
  for (const auto type : stored_dtypes()) known.emplace_back(dtype_name(type));
  complain(who, "dtype " + name.dump(), "one of " + join(known));
}

/// A list of sizes or offsets; nothing where it is none.
template <class N>
std::optional<std::vector<N>> parse_numbers(const Json& list) {
  const auto is_number = [](const Json& item) { return item.is_number_unsigned(); };
  if (!list.is_array() || !std::all_of(list.begin(), list.end(), is_number)) return std::nullopt;
  return list.get<std::vector<N>>();
}

/// `{"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}`
TensorInfo parse_tensor(const Json& entry, const std::string& who, std::uint64_t data_start, std::uint64_t data_bytes) {
  if (!entry.is_object() || entry.size() != 3 || !entry.contains("dtype") || !entry.contains("shape") || !entry.contains("data_offsets"))
    complain(who, entry.dump(), "dtype, shape and data_offsets");
  TensorInfo info{.dtype = parse_dtype(entry["dtype"], who)};
  const auto shape = parse_numbers<std::int64_t>(entry["shape"]);
  if (!shape) complain(who, "shape " + entry["shape"].dump(), "a list of sizes");
  info.shape = *shape;
  const auto offsets = parse_numbers<std::uint64_t>(entry["data_offsets"]);
  if (!offsets || offsets->size() != 2) complain(who, "data_offsets " + entry["data_offsets"].dump(), "[start, end]");
  const auto start = offsets->front(), end = offsets->back();
  const auto wanted = bytes_of(info.shape, info.dtype);
  if (end < start || !wanted || end - start != *wanted) {
    complain(who, "data_offsets " + entry["data_offsets"].dump(), (wanted ? std::to_string(*wanted) + " bytes for " : "sizes that fit memory, not ") +
                                                                      std::string(dtype_name(info.dtype)) + " " + shape_text(info.shape));
  }
  if (end > data_bytes) {
    throw IoError({.who = who,
                   .found = "it ends at byte " + std::to_string(end) + " of " + std::to_string(data_bytes),
                   .expected = "an end inside the file",
                   .remedy = std::string("the file is cut off: ") + kAgain});
  }
  info.bytes = *wanted;
  info.offset = data_start + start;
  return info;
}

}  // namespace

SafetensorsFile::SafetensorsFile(std::filesystem::path path) : WeightFile(std::move(path)) {
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
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") metadata_ = parse_metadata(entry, who(name));
    else tensors_.emplace(name, parse_tensor(entry, who(name), data_start, data_bytes));
  }
  check_side_by_side(data_start, data_bytes);
}

void SafetensorsFile::check_side_by_side(std::uint64_t data_start, std::uint64_t data_bytes) const {
  std::vector<const std::pair<const std::string, TensorInfo>*> in_order;
  for (const auto& tensor : tensors_) in_order.push_back(&tensor);
  // Empty tensors may share a start with a full one.
  std::sort(in_order.begin(), in_order.end(), [](const auto* a, const auto* b) {
    return std::pair(a->second.offset, a->second.bytes) < std::pair(b->second.offset, b->second.bytes);
  });
  std::uint64_t at = 0;
  for (const auto* tensor : in_order) {
    const auto start = tensor->second.offset - data_start;
    if (start != at) {
      throw IoError({.who = who(tensor->first),
                     .found = "it starts at byte " + std::to_string(start) + (start < at ? ", inside the tensor before it" : ", after a hole"),
                     .expected = "byte " + std::to_string(at),
                     .remedy = kAgain});
    }
    at += tensor->second.bytes;
  }
  if (at != data_bytes) {
    throw IoError({.who = path().string(),
                   .found = std::to_string(data_bytes) + " bytes of tensors",
                   .expected = std::to_string(at) + " by its header",
                   .remedy = kAgain});
  }
}

}  // namespace herd
