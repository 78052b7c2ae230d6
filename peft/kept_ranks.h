#pragma once
#include "peft/peft_options.h"
#include "runtime/nn/parameter_values.h"

namespace herd {

/// A parameter of an updated layer as a folder keeps it: without the ranks that `options.kept_ranks` leaves out.
/// @param parameter and what `values` refers to outlive the result.
TensorToWrite without_ranks_given_up(const Parameter& parameter, const PeftOptions& options, const ParameterValues& values);

/// Which of a layer's init_r ranks there are; nullptr: all.
const std::vector<bool>* kept_ranks_of(const PeftOptions& options, const std::string& layer);

}  // namespace herd
