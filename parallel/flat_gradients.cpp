#include "parallel/flat_gradients.h"

#include <cmath>
#include <utility>

namespace herd {
namespace {

constexpr std::size_t kUnderWay = 2;  // rows on their way together: bounds memory where rows are not kept

}  // namespace

FlatGradients::FlatGradients(std::span<const Flat> flats, const Mesh& mesh, Options options) : mesh_(mesh), options_(options) {
  for (const auto& flat : flats) {
    Row row{.flat = &flat, .whole = {}, .own = {}};
    if (flat.trainable) {
      const auto like = flat.places.front().parameter->value.options().requires_grad(false).dtype(wide_type(flat.dtype));
      if (options.whole) row.whole = at::zeros({flat.elements}, like);
      row.own = options.whole ? flat.part_of(row.whole) : at::zeros({flat.own()}, like);
    }
    rows_.push_back(std::move(row));
  }
}

void FlatGradients::begin_step() {
  fault_.reset();
  for (auto& row : rows_) row.fresh = true, row.sent = false;
}

void FlatGradients::collect(Unit unit, bool last) {
  for (auto& row : rows_) {
    if (!row.flat->trainable || unit < row.flat->first || unit > row.flat->last) continue;
    take(row, unit);
    if (unit != row.flat->last) continue;
    row.fresh = false;
    if (options_.whole && !last) continue;
    look_for_fault(row);
    send(row, last);
  }
}

// Autograd's gradients are freed as soon as they are in the row.
void FlatGradients::take(Row& row, Unit unit) {
  at::NoGradGuard no_grad;
  if (!row.whole.defined()) row.whole = at::empty({row.flat->elements}, row.own.options());
  for (const auto& place : row.flat->places) {
    if (place.unit != unit) continue;
    auto& grad = place.parameter->value.mutable_grad();
    const auto to = row.whole.narrow(0, place.begin, place.end - place.begin);
    if (grad.defined()) row.fresh ? to.copy_(grad.reshape(-1)) : to.add_(grad.reshape(-1));
    else if (row.fresh) to.zero_();
    grad.reset();
  }
}

// The sum over ranks would hide whose it was. A sum is not finite where one of its terms is not; the other way round is looked into.
// First the row's sum alone: each look at a number waits for a GPU.
void FlatGradients::look_for_fault(const Row& row) {
  if (row.whole.is_meta() || fault_ || std::isfinite(row.whole.sum().item<double>())) return;
  for (const auto& place : row.flat->places) {
    const auto grad = row.whole.narrow(0, place.begin, place.end - place.begin);
    if (fault_ || std::isfinite(grad.sum().item<double>())) continue;
    if (!at::isfinite(grad).all().item<bool>()) blame(place.parameter->name);
  }
}

bool FlatGradients::travels_as_it_is(const Row& row) const {
  return row.own.scalar_type() == options_.travels_as || row.own.scalar_type() == at::kDouble;
}

void FlatGradients::send(Row& row, bool last) {
  const bool first = options_.whole || !std::exchange(row.sent, true);
  const bool as_it_is = travels_as_it_is(row);
  auto whole = options_.whole ? row.whole : std::exchange(row.whole, Tensor());
  row.fresh = !options_.whole;
  if (mesh_.shard->size() == 1) {  // the part is the row
    Journey journey{.row = &row, .work = {}, .sent = {}, .received = options_.whole ? row.own : whole, .first = first, .last = last};
    return arrive(journey);
  }
  if (!as_it_is) whole = whole.to(options_.travels_as);
  auto received = as_it_is && first ? row.own : at::empty(row.own.sizes(), whole.options());
  auto work = mesh_.shard->reduce_scatter(received, whole, ReduceOp::kSum, row.flat->counts);
  reducing_.push_back({&row, std::move(work), std::move(whole), std::move(received), first, last});
  for (const std::size_t under_way = options_.overlap ? kUnderWay : 0; reducing_.size() > under_way; reducing_.pop_front()) arrive(reducing_.front());
}

void FlatGradients::arrive(Journey& journey) {
  journey.work.wait();
  auto& row = *journey.row;
  if (!journey.received.is_same(row.own)) journey.first ? row.own.copy_(journey.received) : row.own.add_(journey.received);
  journey.received.reset(), journey.sent.reset();
  if (journey.last) replicate(row);
}

// The copies of the sharded states each hold the sum over their own ranks.
void FlatGradients::replicate(Row& row) {
  if (!mesh_.replicas) return;
  auto buffer = travels_as_it_is(row) ? row.own : row.own.to(options_.travels_as);
  auto work = mesh_.replicas->all_reduce(buffer);
  if (!options_.overlap) work.wait();
  replicating_.push_back({&row, std::move(work), {}, std::move(buffer), true, true});
}

std::int64_t FlatGradients::resident_bytes() const {
  std::int64_t bytes = 0;
  const auto add = [&](const Tensor& x, const Tensor& unless_in) {
    if (x.defined() && !(unless_in.defined() && x.is_alias_of(unless_in))) bytes += static_cast<std::int64_t>(x.nbytes());
  };
  for (const auto& row : rows_) add(row.whole, {}), add(row.own, row.whole);
  for (const auto* journeys : {&reducing_, &replicating_})
    for (const auto& journey : *journeys) add(journey.sent, journey.row->whole), add(journey.received, journey.row->own);
  return bytes;
}

void FlatGradients::finish() {
  for (auto& journey : reducing_) arrive(journey);
  reducing_.clear();
  for (auto& journey : replicating_) {
    journey.work.wait();
    if (!journey.received.is_same(journey.row->own)) journey.row->own.copy_(journey.received);
  }
  replicating_.clear();
}

}  // namespace herd
