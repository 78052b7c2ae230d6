#include "models/row_map.h"

#include <algorithm>
#include <cstring>

#include "runtime/base/error.h"
#include "runtime/tensor/dtype.h"

namespace herd {
namespace {

/// What the tensor made of them is, but for its size along `dim`.
TensorInfo info_of(const std::vector<StoredAs>& sources, std::size_t dim, std::int64_t size) {
  const auto& first = sources.front().info();
  const auto other_sizes = [&](const TensorInfo& info) {
    auto shape = info.shape;
    if (dim < shape.size()) shape[dim] = 0;
    return shape;
  };
  for (const auto& source : sources) {
    const auto& info = source.info();
    if (dim < info.shape.size() && info.dtype == first.dtype && other_sizes(info) == other_sizes(first)) continue;
    throw ShapeError({.who = "tensor '" + source.name + "'",
                      .found = std::string(dtype_name(info.dtype)) + " " + shape_text(info.shape),
                      .expected = "one that fits " + sources.front().name + ", " + std::string(dtype_name(first.dtype)) + " " + shape_text(first.shape),
                      .remedy = "are these parts of one model?"});
  }
  TensorInfo info{.dtype = first.dtype, .shape = first.shape};
  info.shape[dim] = size;
  info.bytes = bytes_of(info.shape, info.dtype).value_or(0);
  return info;
}

std::int64_t total(const std::vector<StoredAs>& sources, std::size_t dim) {
  std::int64_t size = 0;
  for (const auto& source : sources) size += dim < source.info().shape.size() ? source.info().shape[dim] : 0;
  return size;
}

}  // namespace

DerivedTensor by_rows(std::vector<StoredAs> sources, std::int64_t rows, std::function<RowPlace(std::int64_t)> place) {
  auto info = info_of(sources, 0, rows);
  auto read = [sources = std::move(sources), place = std::move(place), info](std::int64_t begin, std::int64_t end) {
    auto shape = info.shape;
    shape[0] = end - begin;
    auto out = at::empty(shape, at::TensorOptions(info.dtype));
    const auto row_bytes = out.numel() == 0 ? 0 : out.nbytes() / static_cast<std::size_t>(end - begin);
    std::vector<Tensor> whole(sources.size());  // on the files' pages
    for (auto r = begin; r < end; ++r) {
      const auto [source, row] = place(r);
      if (!whole[source].defined()) whole[source] = sources[source].weights->view(sources[source].name);
      const auto* from = static_cast<const char*>(whole[source].const_data_ptr()) + static_cast<std::size_t>(row) * row_bytes;
      std::memcpy(static_cast<char*>(out.data_ptr()) + static_cast<std::size_t>(r - begin) * row_bytes, from, row_bytes);
    }
    return out;
  };
  return {std::move(info), std::move(read)};
}

DerivedTensor stacked(std::vector<StoredAs> sources) {
  if (sources.size() == 1) return renamed(sources[0]);
  std::vector<std::int64_t> ends;
  (void)info_of(sources, 0, 0);  // they have rows
  for (const auto& source : sources) ends.push_back((ends.empty() ? 0 : ends.back()) + source.info().shape[0]);
  const auto rows = ends.back();
  return by_rows(std::move(sources), rows, [ends](std::int64_t row) {
    const auto at = std::upper_bound(ends.begin(), ends.end(), row);
    return RowPlace{static_cast<std::size_t>(at - ends.begin()), row - (at == ends.begin() ? 0 : *(at - 1))};
  });
}

DerivedTensor side_by_side(std::vector<StoredAs> sources) {
  if (sources.size() == 1) return renamed(sources[0]);
  auto info = info_of(sources, 1, total(sources, 1));
  return {std::move(info), [sources = std::move(sources)](std::int64_t begin, std::int64_t end) {
            std::vector<Tensor> parts;
            for (const auto& source : sources) parts.push_back(source.weights->rows(source.name, begin, end));
            return at::cat(parts, 1);
          }};
}

DerivedTensor renamed(StoredAs source) {
  TensorInfo info{.dtype = source.info().dtype, .shape = source.info().shape, .bytes = source.info().bytes};
  return {std::move(info), [source = std::move(source)](std::int64_t begin, std::int64_t end) { return source.weights->rows(source.name, begin, end); }};
}

}  // namespace herd
