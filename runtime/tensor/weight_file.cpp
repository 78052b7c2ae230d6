#include "runtime/tensor/weight_file.h"

#include <cstring>

#include "runtime/base/text.h"
#include "runtime/tensor/crc32.h"
#include "runtime/tensor/dtype.h"
#include "runtime/tensor/mapped_file.h"

namespace herd {
namespace {

/// Elements from the first to the last of a strided tensor that is not empty.
std::int64_t span_of(const TensorInfo& info) {
  std::int64_t last = 0;
  for (std::size_t i = 0; i < info.shape.size(); ++i) last += (info.shape[i] - 1) * info.strides[i];
  return last + 1;
}

}  // namespace

std::optional<std::uint64_t> bytes_of(const std::vector<std::int64_t>& shape, at::ScalarType dtype) {
  auto bytes = static_cast<std::uint64_t>(c10::elementSize(dtype));
  for (const auto size : shape)
    if (__builtin_mul_overflow(bytes, static_cast<std::uint64_t>(size), &bytes)) return std::nullopt;
  return bytes;
}

WeightFile::WeightFile(std::filesystem::path path) : file_(std::make_shared<File>(std::move(path), File::Mode::read)) {}

std::string WeightFile::who(const std::string& name) const { return path().string() + ": tensor '" + name + "'"; }

std::vector<std::string> WeightFile::names() const {
  std::vector<std::string> names;
  for (const auto& entry : tensors_) names.push_back(entry.first);
  return names;
}

const TensorInfo& WeightFile::info(const std::string& name) const {
  const auto found = tensors_.find(name);
  if (found != tensors_.end()) return found->second;
  const auto near = nearest(name, names());
  throw IoError({.who = path().string(),
                 .found = "no tensor '" + name + "' among its " + std::to_string(tensors_.size()),
                 .expected = "",
                 .remedy = near.empty() ? "" : "did you mean '" + near + "'?"});
}

// With the file's strides.
Tensor WeightFile::mapped(const std::string& name) const {
  const auto& info = this->info(name);
  const at::TensorOptions options(info.dtype);
  if (info.bytes == 0) return at::empty(info.shape, options);
  const auto width = c10::elementSize(info.dtype);
  const auto bytes = info.strides.empty() ? info.bytes : static_cast<std::uint64_t>(span_of(info)) * width;
  const auto range = std::make_shared<MappedRange>(*file_, info.offset, bytes);
  const auto keep = [range](void*) {};
  if (reinterpret_cast<std::uintptr_t>(range->data()) % width == 0)
    return info.strides.empty() ? at::from_blob(range->data(), info.shape, keep, options)
                                : at::from_blob(range->data(), info.shape, info.strides, keep, options);
  auto copy = at::empty({static_cast<std::int64_t>(bytes / width)}, options);
  std::memcpy(copy.data_ptr(), range->data(), bytes);
  return info.strides.empty() ? copy.view(info.shape) : copy.as_strided(info.shape, info.strides);
}

Tensor WeightFile::view(const std::string& name) const { return mapped(name).contiguous(); }

Tensor WeightFile::rows(const std::string& name, std::int64_t begin, std::int64_t end) const {
  return mapped(name).narrow(0, begin, end - begin).contiguous();
}

void WeightFile::read_into(const std::string& name, Tensor destination) const {
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
  destination.copy_(mapped(name));
}

void WeightFile::verify() const {
  for (const auto& sum : checksums_) {
    const MappedRange range(*file_, sum.offset, sum.bytes);
    if (crc32_of({static_cast<const char*>(range.data()), sum.bytes}) == sum.crc) continue;
    throw IoError({.who = path().string() + ": '" + sum.of + "'",
                   .found = "bytes that do not fit their checksum",
                   .expected = "what was written",
                   .remedy = "the file is damaged: download or write it again"});
  }
}

}  // namespace herd
