#include "runtime/tensor/dtype.h"

#include <fmt/format.h>

#include <array>
#include <utility>

namespace herd {
namespace {

constexpr std::array kNames{
    std::pair{at::kBool, "BOOL"},   std::pair{at::kByte, "U8"},    std::pair{at::kChar, "I8"},           std::pair{at::kFloat8_e5m2, "F8_E5M2"},
    std::pair{at::kFloat8_e4m3fn, "F8_E4M3"}, std::pair{at::kShort, "I16"},  std::pair{at::kUInt16, "U16"},        std::pair{at::kHalf, "F16"},
    std::pair{at::kBFloat16, "BF16"}, std::pair{at::kInt, "I32"},    std::pair{at::kUInt32, "U32"},        std::pair{at::kFloat, "F32"},
    std::pair{at::kComplexFloat, "C64"}, std::pair{at::kDouble, "F64"}, std::pair{at::kLong, "I64"},          std::pair{at::kUInt64, "U64"},
};

}  // namespace

std::string_view dtype_name(at::ScalarType dtype) {
  for (const auto& [type, name] : kNames)
    if (type == dtype) return name;
  return "";
}

std::optional<at::ScalarType> dtype_from_name(std::string_view wanted) {
  for (const auto& [type, name] : kNames)
    if (name == wanted) return type;
  return std::nullopt;
}

const std::vector<at::ScalarType>& stored_dtypes() {
  static const auto all = [] {
    std::vector<at::ScalarType> types;
    for (const auto& entry : kNames) types.push_back(entry.first);
    return types;
  }();
  return all;
}

std::string shape_text(at::IntArrayRef shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

}  // namespace herd
