#include "data/pack.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "runtime/base/error.h"
#include "runtime/base/parallel_for.h"
#include "runtime/base/random.h"

namespace herd {
namespace {

using Members = std::vector<std::int64_t>;

void check_length(std::int64_t example, std::int64_t length, std::int64_t max_tokens) {
  if (length > max_tokens)
    throw ShapeError({.who = fmt::format("example {}", example), .found = fmt::format("{} tokens", length),
                      .expected = fmt::format("at most {} in a row", max_tokens), .remedy = ""});
}

/// `window`, the longest first; of equal ones the earlier.
Members by_length(std::span<const std::int64_t> window, std::span<const std::int64_t> lengths) {
  Members out(window.begin(), window.end());
  std::stable_sort(out.begin(), out.end(), [&](auto a, auto b) { return lengths[static_cast<std::size_t>(a)] > lengths[static_cast<std::size_t>(b)]; });
  return out;
}

/// What is tried first to fill a row. Where short examples are many, they fill what long ones leave; where they are few, they have to be spared.
enum class First { kShort, kLong };

/// The examples of a window by their length, and how rows are filled with them.
class Window {
 public:
  /// @param longest_first examples, of equal length in the order in which they are to be taken.
  Window(const Members& longest_first, std::span<const std::int64_t> lengths, First first) : first_(first) {
    for (auto example = longest_first.rbegin(); example != longest_first.rend(); ++example) {
      const auto length = lengths[static_cast<std::size_t>(*example)];
      if (sizes_.empty() || sizes_.back().length != length) sizes_.push_back({.length = length});
      sizes_.back().members.push_back(*example);  // the last is taken first
    }
    for (auto& size : sizes_) size.left = size.members.size();
  }

  std::vector<Members> rows(std::int64_t max_tokens) {
    std::vector<Members> out;
    while (!sizes_.empty()) {
      auto& row = out.emplace_back();
      const auto room = max_tokens - sizes_.back().length;
      take(sizes_.back(), row);
      fill(room, row);
      std::erase_if(sizes_, [](const Size& size) { return size.left == 0; });
    }
    return out;
  }

 private:
  struct Size {
    std::int64_t length = 0;
    Members members{};
    std::size_t left = 0;  ///< of the members, those that no row has and no search holds
  };
  static constexpr int kTried = 256;  // combinations a row: more fill no better, fewer leave places (0.996 of Alpaca's and CoT's at 512 are full; with 50, 0.973)

  // The first combination that fills the room; else the fullest of those tried.
  void fill(std::int64_t room, Members& row) {
    chosen_.clear();
    best_.clear();
    best_room_ = room;
    tried_ = 0;
    search(first_ == First::kShort ? 0 : static_cast<std::ptrdiff_t>(sizes_.size()), room);
    for (const auto size : best_) take(sizes_[size], row);
  }

  bool search(std::ptrdiff_t from, std::int64_t room) {
    if (room < best_room_) {
      best_room_ = room;
      best_ = chosen_;
    }
    if (++tried_ > kTried || best_room_ == 0) return true;
    const auto fitting = std::upper_bound(sizes_.begin(), sizes_.end(), room, [](std::int64_t r, const Size& size) { return r < size.length; }) - sizes_.begin();
    for (auto i = first_ == First::kShort ? from : std::min(from, fitting - 1); i >= 0 && i < fitting; i += first_ == First::kShort ? 1 : -1) {
      auto& size = sizes_[static_cast<std::size_t>(i)];
      if (size.left == 0) continue;
      --size.left;
      chosen_.push_back(static_cast<std::size_t>(i));
      const bool done = search(i, room - size.length);
      chosen_.pop_back();
      ++size.left;
      if (done) return true;
    }
    return false;
  }

  void take(Size& size, Members& row) {
    row.push_back(size.members.back());
    size.members.pop_back();
    --size.left;
  }

  First first_;
  std::vector<Size> sizes_;  // the shortest first
  std::vector<std::size_t> chosen_, best_;
  std::int64_t best_room_ = 0;
  int tried_ = 0;
};

void append(RowList& out, std::span<const std::int64_t> row) {
  out.members.insert(out.members.end(), row.begin(), row.end());
  out.begins.push_back(static_cast<std::int64_t>(out.members.size()));
}

/// A random order of `count` things of window `number`.
Members order_of(std::size_t count, RowOrder shuffle, std::size_t number) {
  return permutation(static_cast<std::int64_t>(count), shuffle.seed ^ hash_name("row order"), shuffle.epoch << 32 ^ number);
}

}  // namespace

std::span<const std::int64_t> RowList::operator[](std::int64_t row) const {
  const auto begin = begins.at(static_cast<std::size_t>(row)), end = begins.at(static_cast<std::size_t>(row) + 1);
  return std::span(members).subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin));
}

RowList single_rows(std::span<const std::int64_t> order) {
  RowList out;
  out.members.assign(order.begin(), order.end());
  out.begins.resize(order.size() + 1);
  std::iota(out.begins.begin(), out.begins.end(), 0);
  return out;
}

RowList grouped_rows(std::span<const std::int64_t> order, std::span<const std::int64_t> lengths, std::int64_t rows_a_step, RowOrder shuffle) {
  const auto step = static_cast<std::size_t>(rows_a_step);
  const auto window = std::max(step, kWindow / step * step);  // whole steps, so that no step spans two windows
  Members out;
  for (std::size_t begin = 0, number = 0; begin < order.size(); begin += window, ++number) {
    const auto sorted = by_length(order.subspan(begin, std::min(window, order.size() - begin)), lengths);
    for (const auto which : order_of(sorted.size() / step, shuffle, number)) {
      const auto first = sorted.begin() + which * rows_a_step;
      out.insert(out.end(), first, first + rows_a_step);
    }
    out.insert(out.end(), sorted.end() - static_cast<std::ptrdiff_t>(sorted.size() % step), sorted.end());
  }
  return single_rows(out);
}

RowList pack_rows(std::span<const std::int64_t> order, std::span<const std::int64_t> lengths, std::int64_t max_tokens, RowOrder shuffle) {
  for (const auto example : order) check_length(example, lengths[static_cast<std::size_t>(example)], max_tokens);
  std::vector<std::vector<Members>> windows((order.size() + kWindow - 1) / kWindow);
  parallel_for(static_cast<std::int64_t>(windows.size()), 0, [&](std::int64_t number) {
    const auto begin = static_cast<std::size_t>(number) * kWindow;
    const auto sorted = by_length(order.subspan(begin, std::min(kWindow, order.size() - begin)), lengths);
    std::int64_t tokens = 0;
    for (const auto example : sorted) tokens += lengths[static_cast<std::size_t>(example)];
    auto rows = Window(sorted, lengths, First::kShort).rows(max_tokens);
    if (100 * tokens < 98 * max_tokens * std::ssize(rows))  // else little is left to win
      if (auto others = Window(sorted, lengths, First::kLong).rows(max_tokens); others.size() < rows.size()) rows = std::move(others);
    windows[static_cast<std::size_t>(number)] = std::move(rows);
  }, 1);
  RowList out;
  for (std::size_t number = 0; number < windows.size(); ++number)
    for (const auto row : order_of(windows[number].size(), shuffle, number)) append(out, windows[number][static_cast<std::size_t>(row)]);
  return out;
}

}  // namespace herd
