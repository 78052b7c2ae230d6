#include "parallel/checkpoint/plan.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "runtime/base/error.h"

namespace herd {
namespace {

struct Holder {
  int rank;
  std::size_t piece;
};

/// A tensor's stretches and who holds each.
struct Candidates {
  std::uint64_t element_bytes = 0;
  std::map<std::pair<std::int64_t, std::int64_t>, std::vector<Holder>> stretches;
};

void check_tiling(const StoredTensor& tensor, const Candidates& candidates) {
  std::int64_t reached = 0;
  const auto complain = [&](const std::string& found, std::int64_t expected) {
    throw ShapeError({.who = tensor.title(),
                      .found = found,
                      .expected = "ranks that hold it once, next from element " + std::to_string(expected),
                      .remedy = ""});
  };
  for (const auto& [range, holders] : candidates.stretches) {
    if (range.first != reached) complain("a slice [" + std::to_string(range.first) + ", " + std::to_string(range.second) + ")", reached);
    reached = range.second;
  }
  if (reached != tensor.elements())
    complain("slices up to element " + std::to_string(reached) + " of " + std::to_string(tensor.elements()), reached);
}

}  // namespace

SavePlan plan_save(const std::vector<std::vector<Piece>>& held, std::int64_t slice_bytes) {
  SavePlan plan;
  std::vector<Candidates> candidates;
  std::map<std::pair<std::string, std::string>, std::size_t> index;
  for (std::size_t rank = 0; rank < held.size(); ++rank) {
    for (std::size_t i = 0; i < held[rank].size(); ++i) {
      const auto& piece = held[rank][i];
      const auto [entry, is_new] = index.try_emplace({piece.state, piece.name}, plan.tensors.size());
      if (is_new) {
        plan.tensors.push_back({piece.state, piece.name, piece.shape, piece.dtype, {}});
        candidates.push_back({piece.element_bytes, {}});
      }
      const auto& tensor = plan.tensors[entry->second];
      if (tensor.shape != piece.shape || tensor.dtype != piece.dtype)
        throw ShapeError({.who = tensor.title(),
                          .found = "another shape or dtype on rank " + std::to_string(rank),
                          .expected = "one on all ranks",
                          .remedy = ""});
      if (piece.begin < piece.end) candidates[entry->second].stretches[{piece.begin, piece.end}].push_back({static_cast<int>(rank), i});
    }
  }
  std::vector<std::uint64_t> load(held.size(), 0);
  for (std::size_t t = 0; t < plan.tensors.size(); ++t) {
    check_tiling(plan.tensors[t], candidates[t]);
    const auto width = static_cast<std::int64_t>(candidates[t].element_bytes), most = std::max<std::int64_t>(1, slice_bytes / width);
    for (const auto& [range, holders] : candidates[t].stretches)
      for (auto begin = range.first; begin < range.second; begin += most) {
        const auto end = std::min(begin + most, range.second);
        const auto least = std::min_element(holders.begin(), holders.end(), [&](const Holder& a, const Holder& b) {
          return load[static_cast<std::size_t>(a.rank)] < load[static_cast<std::size_t>(b.rank)];
        });
        load[static_cast<std::size_t>(least->rank)] += static_cast<std::uint64_t>((end - begin) * width);
        plan.assignments.push_back({t, least->piece, begin, end, least->rank});
      }
  }
  return plan;
}

std::string pack_pieces(const std::vector<Piece>& pieces) {
  auto json = nlohmann::json::array();
  for (const auto& p : pieces) json.push_back({p.state, p.name, p.shape, p.dtype, p.element_bytes, p.begin, p.end});
  return json.dump();
}

std::vector<Piece> unpack_pieces(const std::string& text) {
  std::vector<Piece> pieces;
  for (const auto& p : nlohmann::json::parse(text)) pieces.push_back({p.at(0), p.at(1), p.at(2), p.at(3), p.at(4), p.at(5), p.at(6)});
  return pieces;
}

}  // namespace herd
