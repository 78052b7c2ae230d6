#pragma once
#include <vector>

#include "infer/evaluate/items.h"
#include "infer/evaluate/outcome.h"
#include "launch/evaluate_options.h"
#include "launch/speaker.h"
#include "parallel/comm/communicator.h"

namespace herd {

/// Outcomes of tasks by log-likelihood, in the items' order, on every rank. Whole batches are dealt out, made up of all items alike: the numbers are the same, bit for bit,
/// on any number of ranks (of one number of threads). Every rank calls them. @throws DataError naming the record that does not fit into the context.
std::vector<Outcome> measure_texts(Speaker& speaker, const EvaluateOptions& options, const std::vector<EvaluationItem>& items, Communicator& communicator);
std::vector<Outcome> measure_choices(Speaker& speaker, const EvaluateOptions& options, const std::vector<EvaluationItem>& items, std::optional<std::size_t> adapter,
                                     const std::string& delimiter, Communicator& communicator);

}  // namespace herd
