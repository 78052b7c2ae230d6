#pragma once
#include <string>
#include <vector>

#include "launch/runs/summary.h"

namespace herd {

/// Runs in columns for a terminal. A detail is cut to what is useful in a list.
std::string runs_table(const std::vector<RunSummary>& runs);
/// The same for machines: a JSON array of objects with name, folder, state, detail, step, loss, held_out_loss, tokens_per_s, started, job;
/// null for what is not known.
std::string runs_json(const std::vector<RunSummary>& runs);

/// Everything of one run: state, what the recipe says otherwise than the defaults, the last of each number, checkpoints, results, jobs.
std::string describe_run(const RunSummary& run);

}  // namespace herd
