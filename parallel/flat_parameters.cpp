#include "parallel/flat_parameters.h"

#include <algorithm>
#include <stdexcept>

namespace herd {
namespace {

// The memory of a storage goes and comes back; tensors that view it stay.
void drop_memory(const Tensor& row) { row.storage().unsafeGetStorageImpl()->reset(); }

void restore_memory(const Tensor& row) {
  auto* storage = row.storage().unsafeGetStorageImpl();
  const auto bytes = static_cast<std::size_t>(row.numel()) * row.element_size();
  storage->set_data_ptr_noswap(storage->allocator()->allocate(bytes));
  storage->set_nbytes(bytes);
}

void copy_values(const Parameter& from, std::int64_t begin, const Tensor& to, const ReadParameter& read) {
  if (to.is_meta()) return;
  if (!from.value.is_meta()) {
    to.copy_(from.value.view(-1).narrow(0, begin, to.numel()));
  } else if (to.is_cpu()) {
    read(from, begin, to);
  } else {
    const auto on_host = at::empty(to.sizes(), to.options().device(at::kCPU));
    read(from, begin, on_host);
    to.copy_(on_host);
  }
}

}  // namespace

FlatParameters::FlatParameters(CausalLm& model, std::span<const Flat> flats, Communicator& shard, Options options, const ReadParameter& read)
    : shard_(shard), options_(options) {
  at::NoGradGuard no_grad;
  for (const auto& flat : flats) {
    const auto options_of_row = at::TensorOptions(shard.devices().front()).dtype(flat.dtype);
    auto& row = rows_.emplace_back(Row{&flat, at::empty({flat.elements}, options_of_row), {}});
    // Memory that is not touched is not there: of a row that is kept in parts, a rank never holds the rest.
    row.own = !options.sharded  ? flat.part_of(row.whole)
              : options.on_host ? empty_on_host(flat.part_of(row.whole), flat.dtype)
                                : at::empty({flat.own()}, options_of_row);
    const auto begin = options.sharded ? flat.begin : 0;
    const auto& kept = options.sharded ? row.own : row.whole;
    kept.zero_();
    for (const auto& place : flat.places) {
      const auto from = std::max(place.begin, begin), to = std::min(place.end, begin + kept.numel());
      if (from < to) copy_values(*place.parameter, from - place.begin, kept.narrow(0, from - begin, to - from), read);
      auto& value = place.parameter->value;
      value = row.whole.narrow(0, place.begin, place.end - place.begin).view(value.sizes()).detach();
      value.set_requires_grad(place.parameter->trainable);
    }
    if (options.sharded) release(row);
  }
  model.tie();
  for (Unit unit = 0; unit < unit_count(model); ++unit) {
    auto& read = rows_read_.emplace_back();
    for (const auto other : units_read_by(model, unit))
      for (std::size_t i = 0; i < flats.size(); ++i)
        if (flats[i].first <= other && other <= flats[i].last) read.push_back(i);
  }
}

void FlatParameters::start(Row& row) {
  if (row.present) return;
  row.present = true;
  restore_memory(row.whole);
  row.gathering = shard_.all_gather(row.whole, row.own.to(row.whole.device(), /*non_blocking=*/true), row.flat->counts);
}

void FlatParameters::release(Row& row) {
  if (!row.present) return;
  row.gathering.wait();  // nobody may write into memory that is gone
  row.gathering = {};    // it holds the part's copy on the device
  drop_memory(row.whole);
  row.present = false;
}

void FlatParameters::begin_walk(std::vector<Unit> walk) {
  walk_ = std::move(walk);
  next_ = 0;
}

void FlatParameters::enter(Unit unit) {
  if (!options_.sharded) return;
  if (next_ >= walk_.size() || walk_[next_] != unit) throw std::logic_error("a unit out of its turn");
  ++next_;
  for (const auto i : rows_read_[unit]) start(rows_[i]);
  const auto end = std::min(walk_.size(), next_ + static_cast<std::size_t>(options_.prefetch));
  for (auto at = next_; at < end; ++at)
    for (const auto i : rows_read_[walk_[at]]) start(rows_[i]);
  for (const auto i : rows_read_[unit]) rows_[i].gathering.wait();
}

bool FlatParameters::soon(std::size_t row) const {
  const auto end = std::min(walk_.size(), next_ + static_cast<std::size_t>(options_.prefetch));
  for (auto at = next_; at < end; ++at)
    if (std::find(rows_read_[walk_[at]].begin(), rows_read_[walk_[at]].end(), row) != rows_read_[walk_[at]].end()) return true;
  return false;
}

void FlatParameters::leave(Unit unit) {
  if (!options_.sharded) return;
  for (const auto i : rows_read_[unit])
    if (!soon(i)) release(rows_[i]);
}

void FlatParameters::parts_changed() {
  if (options_.sharded) return;
  std::vector<Work> works;
  for (const auto& row : rows_)
    if (row.flat->trainable && shard_.size() > 1) works.push_back(shard_.all_gather(row.whole, row.own, row.flat->counts));
  for (auto& work : works) work.wait();
}

void FlatParameters::gather(bool frozen_too) {
  for (auto& row : rows_)
    if (row.flat->trainable || frozen_too) start(row);
  for (auto& row : rows_) row.gathering.wait();
}

void FlatParameters::free() {
  if (!options_.sharded) return;
  for (auto& row : rows_) release(row);
}

std::int64_t FlatParameters::resident_bytes() const {
  std::int64_t bytes = 0;
  for (const auto& row : rows_) {
    const auto width = static_cast<std::int64_t>(row.whole.element_size());
    if (row.present) bytes += row.flat->elements * width;
    if (options_.sharded) bytes += row.flat->own() * width;
  }
  return bytes;
}

}  // namespace herd
