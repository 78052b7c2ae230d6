#pragma once
#include <map>
#include <string>
#include <vector>

#include "data/audit.h"
#include "data/stats/stats.h"
#include "data/template/template.h"

namespace herd {

/// The `most` records with the least contents, a sample that does not depend on their order.
class Sampled {
 public:
  explicit Sampled(std::size_t most) : most_(most) {}
  bool wants(const std::string& content) const { return most_ > 0 && (kept_.size() < most_ || content < kept_.rbegin()->first); }
  void add(const std::string& content, StatsSample sample) {
    kept_.emplace(content, std::move(sample));
    if (kept_.size() > most_) kept_.erase(std::prev(kept_.end()));
  }
  void move_to(std::vector<StatsSample>& out) {
    for (auto& entry : kept_) out.push_back(std::move(entry.second));
  }

 private:
  std::size_t most_;
  std::map<std::string, StatsSample> kept_;
};

/// A record by its template, where there is no tokenizer; the bare turns, where the template has no form for it: nobody asked for this
/// template.
std::vector<MarkedRun> marked_runs(const Record& record, const Template& text);

/// The runs' first 4,000 bytes, with "…" where there are more.
std::vector<MarkedRun> shortened(std::vector<MarkedRun> runs);

}  // namespace herd
