#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "models/hub.h"
#include "runtime/base/registry.h"

namespace herd {

/// fp32, bf16, fp16.
const Table<at::ScalarType>& number_formats();
/// Its name there; fp32 for what has none.
std::string format_name(at::ScalarType dtype);
/// The number format that most bytes of the weights are stored in; fp32 where it is none of those.
at::ScalarType stored_format(const Weights& weights);

/// What belongs beside a model's weights wherever they go: the tokenizer's files, generation_config.json, and the code that `config`, the text of the
/// config.json that goes with them, names or the tokenizer's.
std::vector<std::filesystem::path> files_beside_weights(const std::filesystem::path& model, const std::string& config);

/// The values of a model that lie in files, to write them elsewhere; in pieces of some MiB. @param loaded outlives the result.
/// @throws IoError naming the tensor that holds NaN or infinity.
ParameterValues stored_values(const LoadedModel& loaded);

/// Throws IoError where a piece of the tensor `name` is not finite.
void check_finite(const std::string& name, const Tensor& piece);

}  // namespace herd
