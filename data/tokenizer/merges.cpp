#include "data/tokenizer/merges.h"

#include <algorithm>
#include <bit>
#include <limits>

namespace herd {
namespace {

constexpr std::size_t kShort = 24;  // up to here looking at every pair again beats a heap
constexpr std::uint32_t kNoMerge = std::numeric_limits<std::uint32_t>::max();

}  // namespace

MergeTable::MergeTable(std::size_t expected) : slots_(std::bit_ceil(expected * 2 + 2)), mask_(slots_.size() - 1) {}

void MergeTable::set(const Merge& merge) {
  const auto key = key_of(merge.left, merge.right);
  slots_[slot(key)] = {key, {merge.rank, merge.merged}};
}

JoinFilter::JoinFilter(std::size_t pairs) : words_(std::bit_ceil(pairs * 16 + 64) / 64), mask_(words_.size() * 64 - 1) {}

void JoinFilter::set(TokenId left, TokenId right) {
  const auto bit = bit_of(left, right);
  words_[bit >> 6] |= std::uint64_t{1} << (bit & 63);
}

void Merger::run(const MergeTable& merges, const TokenId* symbols, std::size_t count, std::vector<TokenId>& out) {
  if (count <= kShort) return run_short(merges, symbols, count, out);
  symbols_.clear();
  heap_.clear();
  const auto end = static_cast<std::int32_t>(count);
  for (std::int32_t i = 0; i < end; ++i)
    symbols_.push_back({.id = symbols[i], .previous = i - 1, .next = i + 1 < end ? i + 1 : -1, .alive = true});
  for (std::int32_t i = 0; i + 1 < end; ++i) consider(merges, i);
  std::make_heap(heap_.begin(), heap_.end(), later);
  while (!heap_.empty()) {
    std::pop_heap(heap_.begin(), heap_.end(), later);
    const auto top = heap_.back();
    heap_.pop_back();
    apply(merges, top);
  }
  for (std::int32_t i = 0; i != -1; i = symbols_[i].next) out.push_back(symbols_[i].id);
}

void Merger::run_short(const MergeTable& merges, const TokenId* symbols, std::size_t count, std::vector<TokenId>& out) {
  TokenId ids[kShort];
  MergeTable::Entry pairs[kShort];  // of symbol i and its right neighbour
  const auto look = [&](std::size_t i) {
    const auto* found = merges.find(ids[i], ids[i + 1]);
    pairs[i] = found ? *found : MergeTable::Entry{kNoMerge, 0};
  };
  std::copy_n(symbols, count, ids);
  for (std::size_t i = 0; i + 1 < count; ++i) look(i);
  while (count > 1) {
    std::size_t best = 0;
    for (std::size_t i = 1; i + 1 < count; ++i)
      if (pairs[i].rank < pairs[best].rank) best = i;
    if (pairs[best].rank == kNoMerge) break;
    ids[best] = pairs[best].merged;
    std::copy(ids + best + 2, ids + count, ids + best + 1);
    if (best + 2 < count) std::copy(pairs + best + 2, pairs + count - 1, pairs + best + 1);
    --count;
    if (best > 0) look(best - 1);
    if (best + 1 < count) look(best);
  }
  out.insert(out.end(), ids, ids + count);
}

// The heap's top is the lowest rank, the leftmost among equals.
bool Merger::later(const Candidate& a, const Candidate& b) { return a.rank != b.rank ? a.rank > b.rank : a.position > b.position; }

bool Merger::consider(const MergeTable& merges, std::int32_t position) {
  const auto& left = symbols_[position];
  const auto* merge = merges.find(left.id, symbols_[left.next].id);
  if (merge) heap_.push_back({merge->rank, position, merge->merged});
  return merge != nullptr;
}

void Merger::push_last() { std::push_heap(heap_.begin(), heap_.end(), later); }

// Candidates are not taken back when a neighbour changes: one that no longer fits is stale and passed over.
void Merger::apply(const MergeTable& merges, const Candidate& top) {
  auto& left = symbols_[top.position];
  if (!left.alive || left.next == -1) return;
  auto& right = symbols_[left.next];
  const auto* merge = merges.find(left.id, right.id);
  if (!merge || merge->merged != top.merged) return;
  left.id = top.merged;
  right.alive = false;
  left.next = right.next;
  if (left.next != -1) symbols_[left.next].previous = top.position;
  if (left.previous != -1 && consider(merges, left.previous)) push_last();
  if (left.next != -1 && consider(merges, top.position)) push_last();
}

}  // namespace herd
