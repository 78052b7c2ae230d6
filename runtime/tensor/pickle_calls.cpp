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

std::optional<at::ScalarType> find(const auto& table, const std::string& name) {
  const auto found = std::find_if(table.begin(), table.end(), [&](const Name& entry) { return entry.first == name; });
  return found == table.end() ? std::nullopt : std::optional(found->second);
}

constexpr std::size_t kMaxDims = 64;

/// The arguments of a call, each asked for by its place and kind.
struct Arguments {
  const std::vector<PickledRef>& items;
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
  std::vector<std::int64_t> numbers(std::size_t i) const {
    const auto& items_of = get<PickledTuple>(i, "a tuple").items;
    if (items_of.size() > kMaxDims) fail(std::to_string(items_of.size()) + " sizes or strides", "at most " + std::to_string(kMaxDims));
    std::vector<std::int64_t> numbers;
    for (const auto* item : items_of) {
      const auto* number = item->get<std::int64_t>();
      if (!number || *number < 0) fail("a size or stride that is no count", "whole numbers of at least 0");
      numbers.push_back(*number);
    }
    return numbers;
  }
};

/// Elements of the shape, and how many from the first to the last in memory; nothing where they overflow.
std::optional<std::pair<std::int64_t, std::int64_t>> extent(const PickledTensor& tensor) {
  std::int64_t elements = 1, span = 1;
  bool too_large = false;
  for (std::size_t i = 0; i < tensor.shape.size(); ++i) {
    std::int64_t step = 0;
    too_large |= __builtin_mul_overflow(elements, tensor.shape[i], &elements);
    too_large |= __builtin_mul_overflow(std::max<std::int64_t>(tensor.shape[i] - 1, 0), tensor.strides[i], &step);
    too_large |= __builtin_add_overflow(span, step, &span);
  }
  // A size of 0 may stand behind sizes whose product overflows; such a tensor has no use.
  return too_large ? std::nullopt : std::optional(std::pair(elements, span));
}

void check_inside(const PickledTensor& tensor, const Arguments& arguments) {
  if (tensor.shape.size() != tensor.strides.size())
    arguments.fail(std::to_string(tensor.shape.size()) + " sizes and " + std::to_string(tensor.strides.size()) + " strides", "as many");
  const auto bytes = tensor.storage.elements * static_cast<std::int64_t>(c10::elementSize(tensor.storage.dtype));
  const auto there = bytes / static_cast<std::int64_t>(c10::elementSize(tensor.dtype));
  const auto extent = herd::extent(tensor);
  const auto text = "a tensor " + shape_text(tensor.shape) + " with strides " + shape_text(tensor.strides) + " from element " +
                    std::to_string(tensor.offset);
  if (!extent || (extent->first > 0 && (tensor.offset > there || extent->second > there - tensor.offset)))
    arguments.fail(text, "one inside its storage of " + std::to_string(there) + " elements");
  if (extent->first > there)
    throw IoError({.who = arguments.who,
                   .found = text + " of " + std::to_string(there),
                   .expected = "each element once",
                   .remedy = "it was saved expanded: save its clone() or contiguous()"});
}

Pickled make_tensor(const Arguments& arguments, bool names_its_dtype) {
  PickledTensor tensor;
  tensor.storage = arguments.get<PickledStorage>(0, "a storage");
  tensor.dtype = tensor.storage.dtype;
  tensor.offset = arguments.get<std::int64_t>(1, "an offset");
  if (tensor.offset < 0) arguments.fail("an offset of " + std::to_string(tensor.offset), "at least 0");
  tensor.shape = arguments.numbers(2);
  tensor.strides = arguments.numbers(3);
  if (names_its_dtype) {
    const auto& name = arguments.get<PickledGlobal>(6, "a dtype").name;
    const auto dtype = find(kDtypes, name);
    if (!dtype) arguments.fail("'" + name + "'", "a dtype");
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

Call find_call(const std::string& name) {
  for (const auto& [known, call] : kCalls)
    if (name == known) return call;
  return nullptr;
}

}  // namespace

std::string storage_name(at::ScalarType dtype) {
  for (const auto& [name, type] : kStorages)
    if (type == dtype) return std::string(name).substr(std::string_view("torch.").size());
  return "";
}

bool is_known_global(const std::string& name) { return find_call(name) || find(kStorages, name) || find(kDtypes, name); }

Pickled pickled_call(const std::string& name, const PickledTuple& arguments, const std::string& who) {
  const Arguments given{arguments.items, who + ", a call of " + name};
  const auto call = find_call(name);
  if (!call) given.fail("a call of what is no function", "a function that makes tensors");
  return call(given);
}

Pickled pickled_storage(const Pickled& id, const std::string& who) {
  const PickledTuple none;
  const auto* parts = id.get<PickledTuple>();
  const Arguments given{parts ? parts->items : none.items, who + ", a storage"};
  if (given.get<std::string>(0, "'storage'") != "storage") given.fail("'" + given.get<std::string>(0, "a text") + "'", "'storage'");
  const auto& kind = given.get<PickledGlobal>(1, "a kind of storage").name;
  const auto dtype = find(kStorages, kind);
  if (!dtype) given.fail("'" + kind + "'", "a kind of storage");
  PickledStorage storage{given.get<std::string>(2, "its key"), *dtype, given.get<std::int64_t>(4, "its elements")};
  std::int64_t bytes = 0;
  if (storage.elements < 0 || __builtin_mul_overflow(storage.elements, static_cast<std::int64_t>(c10::elementSize(*dtype)), &bytes))
    given.fail(std::to_string(storage.elements) + " elements", "a count that fits memory");
  return {storage};
}

}  // namespace herd
