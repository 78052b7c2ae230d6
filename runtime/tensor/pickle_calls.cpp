#include "runtime/tensor/pickle_calls.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

#include "runtime/base/error.h"
#include "runtime/tensor/dtype.h"

namespace herd {
namespace {

using Name = std::pair<const char*, at::ScalarType>;
constexpr std::array kStorages{
    Name{"torch.DoubleStorage", at::kDouble}, Name{"torch.FloatStorage", at::kFloat},       Name{"torch.HalfStorage", at::kHalf},
    Name{"torch.BFloat16Storage", at::kBFloat16}, Name{"torch.LongStorage", at::kLong},     Name{"torch.IntStorage", at::kInt},
    Name{"torch.ShortStorage", at::kShort},   Name{"torch.CharStorage", at::kChar},         Name{"torch.ByteStorage", at::kByte},
    Name{"torch.BoolStorage", at::kBool},     Name{"torch.ComplexFloatStorage", at::kComplexFloat},
    Name{"torch.UntypedStorage", at::kByte},  Name{"torch.storage.UntypedStorage", at::kByte},
};
constexpr std::array kDtypes{
    Name{"torch.float64", at::kDouble},   Name{"torch.float32", at::kFloat},      Name{"torch.float16", at::kHalf},
    Name{"torch.bfloat16", at::kBFloat16}, Name{"torch.int64", at::kLong},        Name{"torch.int32", at::kInt},
    Name{"torch.int16", at::kShort},      Name{"torch.int8", at::kChar},          Name{"torch.uint8", at::kByte},
    Name{"torch.bool", at::kBool},        Name{"torch.complex64", at::kComplexFloat}, Name{"torch.uint16", at::kUInt16},
    Name{"torch.uint32", at::kUInt32},    Name{"torch.uint64", at::kUInt64},      Name{"torch.float8_e4m3fn", at::kFloat8_e4m3fn},
    Name{"torch.float8_e5m2", at::kFloat8_e5m2},
};

std::optional<at::ScalarType> find(const auto& table, std::string_view name) {
  const auto found = std::find_if(table.begin(), table.end(), [&](const Name& entry) { return entry.first == name; });
  return found == table.end() ? std::nullopt : std::optional(found->second);
}

constexpr std::size_t kMaxDims = 16;  // a few bytes of a pickle can repeat a tensor
constexpr std::size_t kMaxKey = 64;   // torch counts: 0, 1, …

/// The arguments of a call, each asked for by its place and kind.
struct Arguments {
  std::span<const PickledRef> items;
  std::string who;

  [[noreturn]] void fail(const std::string& found, const std::string& expected) const {
    throw IoError({.who = who, .found = found, .expected = expected, .remedy = "the file is broken: download or write it again"});
  }
  template <class T>
  const T& get(std::size_t i, const char* kind) const {
    const auto* value = i < items.size() ? items[i]->get<T>() : nullptr;
    if (!value) fail("a call without its arguments", fmt::format("{} as number {}", kind, i + 1));
    return *value;
  }
  /// A tuple of sizes or strides.
  const PickledTuple& counts(std::size_t i) const {
    const auto& tuple = get<PickledTuple>(i, "a tuple");
    if (tuple.items.size() > kMaxDims) fail(std::to_string(tuple.items.size()) + " sizes or strides", "at most " + std::to_string(kMaxDims));
    for (const auto* item : tuple.items) {
      const auto* number = item->get<std::int64_t>();
      if (!number || *number < 0) fail("a size or stride that is no count", "whole numbers of at least 0");
    }
    return tuple;
  }
};

std::vector<std::int64_t> numbers_of(const PickledTuple& tuple) {
  std::vector<std::int64_t> numbers;
  for (const auto* item : tuple.items) numbers.push_back(*item->get<std::int64_t>());
  return numbers;
}

/// Elements of the shape, and how many from the first to the last in memory; nothing where they overflow.
std::optional<std::pair<std::int64_t, std::int64_t>> extent(const std::vector<std::int64_t>& shape, const std::vector<std::int64_t>& strides) {
  std::int64_t elements = 1, span = 1;
  bool too_large = false;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    std::int64_t step = 0;
    too_large |= __builtin_mul_overflow(elements, shape[i], &elements);
    too_large |= __builtin_mul_overflow(std::max<std::int64_t>(shape[i] - 1, 0), strides[i], &step);
    too_large |= __builtin_add_overflow(span, step, &span);
  }
  // A size of 0 may stand behind sizes whose product overflows; such a tensor has no use.
  return too_large ? std::nullopt : std::optional(std::pair(elements, span));
}

void check_inside(const PickledTensor& tensor, const Arguments& arguments) {
  const auto shape = tensor.shape(), strides = tensor.strides();
  if (shape.size() != strides.size())
    arguments.fail(std::to_string(shape.size()) + " sizes and " + std::to_string(strides.size()) + " strides", "as many");
  const auto bytes = tensor.storage->elements * static_cast<std::int64_t>(c10::elementSize(tensor.storage->dtype));
  const auto there = bytes / static_cast<std::int64_t>(c10::elementSize(tensor.dtype));
  const auto extent = herd::extent(shape, strides);
  const auto text = [&] {
    return "a tensor " + shape_text(shape) + " with strides " + shape_text(strides) + " from element " + std::to_string(tensor.offset);
  };
  if (!extent || (extent->first > 0 && (tensor.offset > there || extent->second > there - tensor.offset)))
    arguments.fail(text(), "one inside its storage of " + std::to_string(there) + " elements");
  if (extent->first > there)
    throw IoError({.who = arguments.who,
                   .found = text() + " of " + std::to_string(there),
                   .expected = "each element once",
                   .remedy = "it was saved expanded: save its clone() or contiguous()"});
}

Pickled make_tensor(const Arguments& arguments, bool names_its_dtype) {
  PickledTensor tensor;
  tensor.storage = &arguments.get<PickledStorage>(0, "a storage");
  tensor.dtype = tensor.storage->dtype;
  tensor.offset = arguments.get<std::int64_t>(1, "an offset");
  if (tensor.offset < 0) arguments.fail("an offset of " + std::to_string(tensor.offset), "at least 0");
  tensor.sizes = &arguments.counts(2);
  tensor.steps = &arguments.counts(3);
  if (names_its_dtype) {
    const auto name = arguments.get<PickledGlobal>(6, "a dtype").name;
    const auto dtype = find(kDtypes, name);
    if (!dtype) arguments.fail(fmt::format("'{}'", name), "a dtype");
    tensor.dtype = *dtype;
  }
  check_inside(tensor, arguments);
  return {tensor};
}

using Call = Pickled (*)(const Arguments&);
constexpr std::array<std::pair<const char*, Call>, 6> kCalls{{
    {"collections.OrderedDict",
     [](const Arguments& a) -> Pickled {
       if (!a.items.empty()) a.fail("an OrderedDict made of arguments", "one that is filled item by item");
       return {PickledDict{}};
     }},
    {"torch._utils._rebuild_tensor", [](const Arguments& a) { return make_tensor(a, false); }},
    {"torch._utils._rebuild_tensor_v2", [](const Arguments& a) { return make_tensor(a, false); }},
    {"torch._utils._rebuild_tensor_v3", [](const Arguments& a) { return make_tensor(a, true); }},
    {"torch._utils._rebuild_parameter", [](const Arguments& a) -> Pickled { return {a.get<PickledTensor>(0, "a tensor")}; }},
    {"torch.Size", [](const Arguments& a) -> Pickled { return {a.get<PickledTuple>(0, "a tuple")}; }},
}};

Call find_call(std::string_view name) {
  for (const auto& [known, call] : kCalls)
    if (name == known) return call;
  return nullptr;
}

/// Whether `known` is `MODULE.NAME`; nothing is put together, for both may be long.
bool is(std::string_view known, std::string_view module, std::string_view name) {
  return known.size() == module.size() + 1 + name.size() && known.starts_with(module) && known[module.size()] == '.' && known.ends_with(name);
}

}  // namespace

std::string storage_name(at::ScalarType dtype) {
  for (const auto& [name, type] : kStorages)
    if (type == dtype) return std::string(name).substr(std::string_view("torch.").size());
  return "";
}

std::vector<std::int64_t> PickledTensor::shape() const { return numbers_of(*sizes); }

std::vector<std::int64_t> PickledTensor::strides() const { return numbers_of(*steps); }

std::string_view known_global(std::string_view module, std::string_view name) {
  const auto in = [&](const auto& table) -> std::string_view {
    const auto found = std::find_if(table.begin(), table.end(), [&](const auto& entry) { return is(entry.first, module, name); });
    return found == table.end() ? "" : found->first;
  };
  for (const auto known : {in(kCalls), in(kStorages), in(kDtypes)})
    if (!known.empty()) return known;
  return "";
}

Pickled pickled_call(std::string_view name, const PickledTuple& arguments, const std::string& who) {
  const Arguments given{arguments.items, fmt::format("{}, a call of {}", who, name)};
  const auto call = find_call(name);
  if (!call) given.fail("a call of what is no function", "a function that makes tensors");
  return call(given);
}

Pickled pickled_storage(const Pickled& id, const std::string& who) {
  const auto* parts = id.get<PickledTuple>();
  const Arguments given{parts ? parts->items : std::span<const PickledRef>(), who + ", a storage"};
  if (const auto what = given.get<std::string_view>(0, "'storage'"); what != "storage") given.fail("'" + shortened(what) + "'", "'storage'");
  const auto kind = given.get<PickledGlobal>(1, "a kind of storage").name;
  const auto dtype = find(kStorages, kind);
  if (!dtype) given.fail(fmt::format("'{}'", kind), "a kind of storage");
  PickledStorage storage{given.get<std::string_view>(2, "its key"), *dtype, given.get<std::int64_t>(4, "its elements")};
  if (storage.key.size() > kMaxKey) given.fail("the key '" + shortened(storage.key) + "'", "at most " + std::to_string(kMaxKey) + " characters");
  std::int64_t bytes = 0;
  if (storage.elements < 0 || __builtin_mul_overflow(storage.elements, static_cast<std::int64_t>(c10::elementSize(*dtype)), &bytes))
    given.fail(std::to_string(storage.elements) + " elements", "a count that fits memory");
  return {storage};
}

}  // namespace herd
