#include "parallel/flat.h"

#include <numeric>

#include "parallel/comm/communicator.h"

namespace herd {
namespace {

// Elements on which parameters and parts start: 64 bytes of bf16, a multiple of it for wider dtypes, and 64 bytes of codes.
std::int64_t alignment(const Flat& flat) { return flat.dtype == at::kByte ? 64 : 32; }

void add(Flat& flat, Parameter* parameter, Unit unit) {
  flat.places.push_back({parameter, unit, flat.elements, flat.elements + parameter->value.numel()});
  flat.elements = (flat.places.back().end + alignment(flat) - 1) / alignment(flat) * alignment(flat);
  flat.last = unit;
}

void cut(Flat& flat, int parts, int part) {
  flat.counts = even_counts(flat.elements / alignment(flat), parts);
  for (auto& count : flat.counts) count *= alignment(flat);
  flat.begin = std::accumulate(flat.counts.begin(), flat.counts.begin() + part, std::int64_t{0});
  flat.end = flat.begin + flat.counts[static_cast<std::size_t>(part)];
}

}  // namespace

std::vector<Flat> make_flats(CausalLm& model, const FlatRule& rule, int parts, int part) {
  std::vector<Flat> done, open;  // open: at most one for each dtype, trainable or frozen
  const auto open_for = [&](const Parameter& p, Unit unit) -> Flat& {
    for (auto& flat : open)
      if (flat.dtype == p.value.scalar_type() && flat.trainable == p.trainable) return flat;
    open.push_back({.places = {}, .dtype = p.value.scalar_type(), .trainable = p.trainable, .first = unit, .last = unit, .counts = {}});
    return open.back();
  };
  const auto close = [&](bool all) {
    std::vector<Flat> still_open;
    for (auto& flat : open) {
      const bool full = flat.elements * static_cast<std::int64_t>(sizeof(float)) >= rule.bucket_bytes;
      (full || all ? done : still_open).push_back(std::move(flat));
    }
    open = std::move(still_open);
  };
  for (Unit unit = 0; unit < unit_count(model); ++unit) {
    for (auto* p : unit_parameters(model, unit))
      if (p->trainable || rule.frozen_too) add(open_for(*p, unit), p, unit);
    close(unit + 1 == unit_count(model));
  }
  for (auto& flat : done) cut(flat, parts, part);
  return done;
}

}  // namespace herd
