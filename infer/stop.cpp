#include "infer/stop.h"

#include <algorithm>
#include <utility>

#include "runtime/base/error.h"

namespace herd {

StopMatcher::StopMatcher(std::vector<std::string> stops) : stops_(std::move(stops)) {
  for (const auto& stop : stops_)
    if (stop.empty()) throw ConfigError({.who = "stop string", .found = "an empty one", .expected = "text", .remedy = ""});
}

std::string StopMatcher::push(std::string_view piece) {
  if (stopped_) return {};
  held_ += piece;
  auto begin = std::string::npos, end = std::string::npos;
  for (const auto& stop : stops_) {
    const auto at = held_.find(stop);
    if (at == held_.npos || at + stop.size() > end || (at + stop.size() == end && at >= begin)) continue;
    begin = at;
    end = at + stop.size();
  }
  if (begin != held_.npos) {
    stopped_ = true;
    held_.resize(begin);
    return std::exchange(held_, {});
  }
  std::size_t keep = 0;  // the longest end of the text that begins a stop string
  for (const std::string_view stop : stops_)
    for (auto size = std::min(stop.size() - 1, held_.size()); size > keep; --size)
      if (held_.ends_with(stop.substr(0, size))) keep = size;
  auto out = held_.substr(0, held_.size() - keep);
  held_.erase(0, out.size());
  return out;
}

std::string StopMatcher::finish() { return std::exchange(held_, {}); }

}  // namespace herd
