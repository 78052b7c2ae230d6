#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "launch/footprint.h"

namespace herd {

/// What is known of a recipe's data, and why not more.
struct DataPlan {
  std::int64_t vocabulary = 0;                ///< the tokenizer's; 0: there is none
  std::int64_t longest = 0;                   ///< tokens of the longest row: data.max_tokens where the data are not there
  std::optional<std::int64_t> steps, tokens;  ///< of the whole run
  std::string unknown;                        ///< why there are none
};

/// A change to a recipe or job, and what a rank then holds.
struct PlannedChange {
  std::string what;  ///< `train.micro_batch_size=1`
  MemoryPlan memory;
};

struct Plan {
  Job job;
  DataPlan data;
  Footprint footprint;
  std::optional<std::int64_t> limit;    ///< bytes that a rank may hold
  std::vector<PlannedChange> alone;     ///< where it does not fit: changes of which each would do, the cheapest first
  std::vector<PlannedChange> together;  ///< where none would: changes on top of each other, until it fits
  bool fits() const { return !limit || footprint.memory.peak() <= *limit; }
  bool can_fit() const { return fits() || !alone.empty() || (!together.empty() && together.back().memory.peak() <= *limit); }
};

/// What a recipe's run would take on so many ranks. Reads the model's config.json and, where they are there, tokenizer and data.
/// @throws ConfigError where model, data lengths and ranks do not go together, and what reading throws.
Plan make_plan(const RunConfig& config, const Job& job, std::optional<std::int64_t> limit);

}  // namespace herd
