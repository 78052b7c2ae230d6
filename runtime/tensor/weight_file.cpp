#include "runtime/tensor/weight_file.h"

#include <ATen/Parallel.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
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

std::int64_t rows_of(const TensorInfo& info) { return info.shape.empty() ? 1 : info.shape[0]; }

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
  const auto whole = mapped(name);
  return whole.dim() == 0 ? whole : whole.narrow(0, begin, end - begin).contiguous();
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

namespace {

constexpr std::uintptr_t kHugePage = std::uintptr_t{2} << 20;

// Fresh memory in pages of 2 MiB, not of 4 KiB: the kernel is called, and clears memory, that much less often.
void use_huge_pages(void* begin, std::size_t bytes) {
  constexpr std::uintptr_t kPage = 4096;
  if (bytes < 2 * kHugePage) return;
  const auto first = (reinterpret_cast<std::uintptr_t>(begin) + kPage - 1) / kPage * kPage;
  const auto end = (reinterpret_cast<std::uintptr_t>(begin) + bytes) / kPage * kPage;
  madvise(reinterpret_cast<void*>(first), end - first, MADV_HUGEPAGE);  // a wish: where it is not granted nothing changes
}

// [begin, end) of `to`, which is that of the file from `offset` on.
void read_stretch(const File& file, std::uint64_t offset, char* to, std::uint64_t begin, std::uint64_t end) {
  constexpr std::uint64_t kAtOnce = 256 << 10;
  while (begin < end) {
    const auto got = pread(file.descriptor(), to + begin, std::min(kAtOnce, end - begin), static_cast<off_t>(offset + begin));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw io_error(file.path(), "cannot read", errno);
    if (got == 0)
      throw IoError({.who = file.path().string(),
                     .found = "its end within a tensor",
                     .expected = "",
                     .remedy = "the file has been cut off since it was opened: restore it"});
    begin += static_cast<std::uint64_t>(got);
  }
}

// By all threads, a huge page at a time, whoever is free the next: a page that is fresh is cleared, and filled while it is still in the cache.
void read_bytes(const File& file, std::uint64_t offset, char* to, std::uint64_t bytes) {
  const auto before = reinterpret_cast<std::uintptr_t>(to) % kHugePage;  // of the first page
  const auto pages = (before + bytes + kHugePage - 1) / kHugePage;
  std::atomic<std::uint64_t> next{0};
  at::parallel_for(0, std::min<std::int64_t>(at::get_num_threads(), static_cast<std::int64_t>(pages)), 1, [&](std::int64_t, std::int64_t) {
    for (auto page = next++; page < pages; page = next++) {
      const auto begin = page == 0 ? 0 : page * kHugePage - before, end = std::min(bytes, (page + 1) * kHugePage - before);
      to[begin] = 0;  // else the kernel finds the page missing in the middle of its copy, and starts again
      read_stretch(file, offset, to, begin, end);
    }
  });
}

}  // namespace

void WeightFile::read(const std::string& name, std::int64_t begin, const Tensor& out) const {
  const auto& info = this->info(name);
  if (out.numel() == 0) return;
  const auto width = c10::elementSize(info.dtype);
  if (info.strides.empty() && info.dtype == out.scalar_type() && out.is_contiguous() && out.is_cpu()) {
    use_huge_pages(out.mutable_data_ptr(), out.nbytes());
    read_bytes(*file_, info.offset + static_cast<std::uint64_t>(begin) * width, static_cast<char*>(out.mutable_data_ptr()), out.nbytes());
  } else if (info.strides.empty()) {
    if (out.is_cpu()) use_huge_pages(out.mutable_data_ptr(), out.nbytes());
    out.copy_(view(name).view(-1).narrow(0, begin, out.numel()));
  } else {
    const auto in_row = c10::multiply_integers(info.shape) / rows_of(info);
    const auto first = begin / in_row, end = (begin + out.numel() - 1) / in_row + 1;
    out.copy_(rows(name, first, end).view(-1).narrow(0, begin - first * in_row, out.numel()));
  }
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
