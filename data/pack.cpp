#include "data/pack.h"

#include <fmt/format.h>

#include <deque>

#include "runtime/base/error.h"

namespace herd {
namespace {

struct OpenRow {
  std::vector<std::int64_t> members;
  std::int64_t free = 0;
};

void close_first(std::deque<OpenRow>& open, RowList& out) {
  out.members.insert(out.members.end(), open.front().members.begin(), open.front().members.end());
  out.begins.push_back(static_cast<std::int64_t>(out.members.size()));
  open.pop_front();
}

}  // namespace

std::span<const std::int64_t> RowList::operator[](std::int64_t row) const {
  const auto begin = begins.at(static_cast<std::size_t>(row)), end = begins.at(static_cast<std::size_t>(row) + 1);
  return std::span(members).subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin));
}

RowList single_rows(std::span<const std::int64_t> order) {
  RowList out;
  out.members.assign(order.begin(), order.end());
  for (std::size_t i = 1; i <= order.size(); ++i) out.begins.push_back(static_cast<std::int64_t>(i));
  return out;
}

RowList pack_rows(std::span<const std::int64_t> order, std::span<const std::int64_t> lengths, std::int64_t max_tokens) {
  RowList out;
  std::deque<OpenRow> open;
  for (const auto example : order) {
    const auto length = lengths[static_cast<std::size_t>(example)];
    if (length > max_tokens)
      throw ShapeError({.who = fmt::format("example {}", example), .found = fmt::format("{} tokens", length),
                        .expected = fmt::format("at most {} in a row", max_tokens), .remedy = ""});
    auto row = open.begin();
    while (row != open.end() && row->free < length) ++row;
    if (row == open.end()) {
      if (open.size() == kOpenRows) close_first(open, out);
      open.push_back({{}, max_tokens});
      row = open.end() - 1;
    }
    row->members.push_back(example);
    row->free -= length;
  }
  while (!open.empty()) close_first(open, out);
  return out;
}

}  // namespace herd
