#include "parallel/checkpoint/rank_file.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>

#include "runtime/base/file.h"
#include "runtime/base/hash.h"
#include "runtime/base/text.h"
#include "runtime/tensor/dtype.h"
#include "runtime/tensor/hdf5.h"

namespace herd {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kPieceBytes = std::int64_t{4} << 20;
constexpr std::size_t kBeginSyncBytes = std::size_t{16} << 20;
constexpr std::size_t kHashBytes = std::size_t{1} << 17;  // read and hashed at a time: within a core's cache
constexpr const char* kRemedy = "the checkpoint is damaged: restore it, or resume from another";

/// HDF5 is not asked when a checkpoint is read: a changed byte in its own structures can crash the library.
void read_at(const File& file, std::uint64_t offset, void* to, std::size_t bytes) {
  auto* at = static_cast<char*>(to);
  while (bytes > 0) {
    const auto count = pread(file.descriptor(), at, bytes, static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw io_error(file.path(), "cannot read", errno);
    if (count == 0)
      throw IoError(
          {.who = file.path().string(), .found = "its end at byte " + std::to_string(offset), .expected = "more", .remedy = kRemedy});
    at += count, offset += static_cast<std::uint64_t>(count), bytes -= static_cast<std::size_t>(count);
  }
}

struct Range {
  std::uint64_t begin, end;  // bytes of a file
};
struct Checksums {
  std::string file;
  std::vector<std::string> ranges;
};

/// Of a file and of ranges in it, all from one reading. @param ranges ascending and apart.
Checksums checksums_of(const File& file, std::span<const Range> ranges) {
  Checksums found;
  Hasher whole;
  std::optional<Hasher> in_range;
  std::vector<char> buffer(kHashBytes);
  for (std::uint64_t at = 0;;) {
    const auto count = ::read(file.descriptor(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw io_error(file.path(), "cannot read", errno);
    const auto end = at + static_cast<std::uint64_t>(count);
    whole.update(buffer.data(), static_cast<std::size_t>(count));
    while (found.ranges.size() < ranges.size()) {
      const auto& range = ranges[found.ranges.size()];
      if (!in_range) in_range.emplace();
      const auto from = std::max(at, range.begin), to = std::min(end, range.end);
      if (from < to) in_range->update(buffer.data() + (from - at), to - from);
      if (range.end > end && count > 0) break;  // the rest comes with the next piece
      found.ranges.push_back(in_range->hex());
      in_range.reset();
    }
    if (count == 0) break;
    at = end;
  }
  found.file = whole.hex();
  return found;
}

std::string dataset_name(const NamedSlice& s, std::int64_t elements) {
  const bool whole = s.begin == 0 && s.end == elements;
  return s.state + "/" + s.name + (whole ? "" : fmt::format("[{}:{}]", s.begin, s.end));
}

/// A slice of a tensor on its way from a file.
struct Reading {
  const File& file;
  const StoredTensor& tensor;
  const StoredSlice& slice;

  std::string who() const { return fmt::format("{}: {}, elements [{}, {})", file.path().string(), tensor.title(), slice.begin, slice.end); }

  void compare(const std::string& checksum) const {
    if (checksum != slice.checksum)
      throw IoError({.who = who(), .found = "checksum " + checksum, .expected = slice.checksum, .remedy = kRemedy});
  }
  at::ScalarType dtype() const {
    const auto known = dtype_from_name(tensor.dtype);
    if (!known) throw IoError({.who = who(), .found = "dtype " + tensor.dtype, .expected = "one that this herd knows", .remedy = kRemedy});
    return *known;
  }
  /// Its elements from `first` on, counted from the slice's own.
  void read(std::int64_t first, const Tensor& into) const {
    read_at(file, slice.offset + static_cast<std::uint64_t>(first) * c10::elementSize(dtype()), into.mutable_data_ptr(), into.nbytes());
  }
  /// Reads the slice piece by piece and hands on each with the element of the tensor that it begins at.
  void each_piece(const std::function<void(const Tensor&, std::int64_t begin)>& use) const {
    const auto step = std::max<std::int64_t>(1, kPieceBytes / static_cast<std::int64_t>(c10::elementSize(dtype())));
    const auto buffer = at::empty({std::min(step, slice.end - slice.begin)}, at::TensorOptions(dtype()));
    Hasher hasher;
    for (auto at = slice.begin; at < slice.end; at += step) {
      const auto piece = buffer.narrow(0, 0, std::min(step, slice.end - at));
      read(at - slice.begin, piece);
      hasher.update(piece.const_data_ptr(), piece.nbytes());
      use(piece, at);
    }
    compare(hasher.hex());
  }
  /// Straight to its place; hashed while it is in the cache.
  void read_whole(const Tensor& place) const {
    auto* to = static_cast<char*>(place.mutable_data_ptr());
    Hasher hasher;
    for (std::size_t at = 0; at < place.nbytes(); at += kHashBytes) {
      const auto count = std::min(kHashBytes, place.nbytes() - at);
      read_at(file, slice.offset + at, to + at, count);
      hasher.update(to + at, count);
    }
    compare(hasher.hex());
  }
  void fill(const NamedSlice& wanted) const {
    at::NoGradGuard no_grad;
    const auto flat = wanted.value.detach().view({-1});
    if (flat.is_cpu() && wanted.begin <= slice.begin && slice.end <= wanted.end) {
      return read_whole(flat.narrow(0, slice.begin - wanted.begin, slice.end - slice.begin));
    }
    each_piece([&](const Tensor& piece, std::int64_t at) {
      const auto begin = std::max(at, wanted.begin), end = std::min(at + piece.numel(), wanted.end);
      if (begin < end) flat.narrow(0, begin - wanted.begin, end - begin).copy_(piece.narrow(0, begin - at, end - begin));
    });
  }
};

using Placed = std::pair<const StoredTensor*, const StoredSlice*>;

/// What lies in one file, in the order of its bytes.
std::vector<Placed> slices_in(std::span<const StoredTensor> tensors, std::size_t file) {
  std::vector<Placed> all;
  for (const auto& tensor : tensors)
    for (const auto& slice : tensor.slices)
      if (slice.file == file) all.emplace_back(&tensor, &slice);
  std::sort(all.begin(), all.end(), [](const Placed& a, const Placed& b) { return a.second->offset < b.second->offset; });
  return all;
}

/// Compares every slice of a file. @return the checksum of the whole file.
std::string verified_checksum(const File& file, const std::vector<Placed>& slices) {
  std::vector<Range> ranges;
  for (const auto& [tensor, slice] : slices) {
    const Reading reading{file, *tensor, *slice};
    const auto bytes = static_cast<std::uint64_t>(slice->end - slice->begin) * c10::elementSize(reading.dtype());
    if (!ranges.empty() && slice->offset < ranges.back().end)
      throw IoError({.who = reading.who(), .found = "bytes of another tensor", .expected = "its own", .remedy = kRemedy});
    ranges.push_back({slice->offset, slice->offset + bytes});
  }
  const auto found = checksums_of(file, ranges);
  for (std::size_t i = 0; i < slices.size(); ++i) Reading{file, *slices[i].first, *slices[i].second}.compare(found.ranges[i]);
  return found.file;
}

}  // namespace

RankPart write_rank_file(const fs::path& folder, int rank, std::int64_t step, std::span<const RankFileSlice> slices,
                         const std::function<void()>& on_slice) {
  RankPart part;
  part.file.name = fmt::format("rank-{:04}.h5", rank);
  const auto path = folder / part.file.name;
  File file(path, File::Mode::append);  // HDF5's, opened beside it: an error of the disk is told to descriptors opened before
  {
    Hdf5Writer writer(path);
    std::size_t unsent = 0;
    writer.attribute("format", "herd checkpoint");
    writer.attribute("step", std::to_string(step));
    writer.attribute("rank", std::to_string(rank));
    for (const auto& [tensor, s] : slices) {
      const StoredTensor whole{s.state, s.name, s.shape, "", {}};
      const auto name = dataset_name(s, whole.elements());
      std::vector<std::string> sizes;
      for (const auto size : s.shape) sizes.push_back(std::to_string(size));
      const auto value = s.value.cpu();  // the same one, but for a GPU's
      Hasher hasher;
      writer.write(name, value, {{"shape", join(sizes)}, {"begin", std::to_string(s.begin)}}, [&](const void* bytes, std::size_t count) {
        hasher.update(bytes, count);
        if ((unsent += count) < kBeginSyncBytes) return;
        file.begin_sync();
        unsent = 0;
      });
      part.slices.push_back({tensor, {0, name, 0, s.begin, s.end, hasher.hex()}});
      if (on_slice) on_slice();
    }
    writer.finish();
  }
  // A full disk may show nowhere else. Meanwhile the disk takes the rest.
  file.begin_sync();
  const Hdf5Reader reader(path);
  std::vector<StoredTensor> tensors;
  for (std::size_t i = 0; i < slices.size(); ++i) {
    const auto& s = slices[i].slice;
    auto& stored = part.slices[i].second;
    const auto info = reader.info(stored.dataset);
    if (info.dtype != s.value.scalar_type() || info.elements != s.end - s.begin)
      throw IoError({.who = path.string() + ": " + stored.dataset,
                     .found = std::to_string(info.elements) + " elements after writing",
                     .expected = "all",
                     .remedy = ""});
    stored.offset = info.offset;
    tensors.push_back({s.state, s.name, s.shape, std::string(dtype_name(s.value.scalar_type())), {stored}});
  }
  part.file.bytes = fs::file_size(path);
  part.file.checksum = verified_checksum(File(path, File::Mode::read), slices_in(tensors, 0));
  file.sync();
  return part;
}

std::string pack_part(const RankPart& part) {
  nlohmann::json json{{"file", {part.file.name, part.file.bytes, part.file.checksum}}, {"slices", nlohmann::json::array()}};
  for (const auto& [tensor, s] : part.slices) json["slices"].push_back({tensor, s.dataset, s.offset, s.begin, s.end, s.checksum});
  return json.dump();
}

RankPart unpack_part(const std::string& text) {
  const auto json = nlohmann::json::parse(text);
  const auto& file = json.at("file");
  RankPart part{{file.at(0), file.at(1), file.at(2)}, {}};
  for (const auto& s : json.at("slices")) part.slices.push_back({s.at(0), {0, s.at(1), s.at(2), s.at(3), s.at(4), s.at(5)}});
  return part;
}

void read_slices(const fs::path& checkpoint, const Manifest& manifest, std::span<const NamedSlice> into) {
  struct Read {
    const StoredTensor* tensor;
    const StoredSlice* slice;
    const NamedSlice* wanted;
  };
  std::map<std::pair<std::string, std::string>, const StoredTensor*> stored;
  for (const auto& tensor : manifest.tensors) stored[{tensor.state, tensor.name}] = &tensor;
  std::vector<Read> reads;
  for (const auto& wanted : into) {
    const auto* tensor = stored.at({wanted.state, wanted.name});
    for (const auto& slice : tensor->slices)
      if (std::max(slice.begin, wanted.begin) < std::min(slice.end, wanted.end)) reads.push_back({tensor, &slice, &wanted});
  }
  std::stable_sort(reads.begin(), reads.end(), [](const Read& a, const Read& b) { return a.slice->file < b.slice->file; });
  std::optional<File> file;
  for (std::size_t i = 0; i < reads.size(); ++i) {
    const auto index = reads[i].slice->file;
    if (i == 0 || index != reads[i - 1].slice->file) file.emplace(checkpoint / manifest.files[index].name, File::Mode::read);
    Reading{*file, *reads[i].tensor, *reads[i].slice}.fill(*reads[i].wanted);
  }
}

void read_pieces(const fs::path& checkpoint, const Manifest& manifest, const StoredTensor& tensor,
                 const std::function<void(const Tensor& piece)>& take) {
  for (const auto& slice : tensor.slices)
    Reading{File(checkpoint / manifest.files[slice.file].name, File::Mode::read), tensor, slice}.each_piece(
        [&](const Tensor& piece, std::int64_t) { take(piece); });
}

void check_sizes(const fs::path& checkpoint, const Manifest& manifest) {
  for (const auto& file : manifest.files) {
    const auto path = checkpoint / file.name;
    std::error_code error;
    const auto bytes = fs::file_size(path, error);
    if (error)
      throw IoError({.who = path.string(),
                     .found = "no such file",
                     .expected = with_thousands(static_cast<std::int64_t>(file.bytes)) + " bytes",
                     .remedy = kRemedy});
    if (bytes != file.bytes)
      throw IoError({.who = path.string(),
                     .found = with_thousands(static_cast<std::int64_t>(bytes)) + " bytes",
                     .expected = with_thousands(static_cast<std::int64_t>(file.bytes)),
                     .remedy = kRemedy});
  }
}

void verify_files(const fs::path& checkpoint, const Manifest& manifest) {
  check_sizes(checkpoint, manifest);
  for (std::size_t i = 0; i < manifest.files.size(); ++i) {
    const auto path = checkpoint / manifest.files[i].name;
    const auto checksum = verified_checksum(File(path, File::Mode::read), slices_in(manifest.tensors, i));
    if (checksum != manifest.files[i].checksum)
      throw IoError({.who = path.string() + ", outside of the tensors' values",
                     .found = "checksum " + checksum,
                     .expected = manifest.files[i].checksum,
                     .remedy = kRemedy});
  }
}

}  // namespace herd
