#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "models/hub.h"

namespace herd {

/// Rows of embedding and head for ids that a vocabulary has gained, or that have moved.
struct NewRows {
  std::int64_t first = 0;                        ///< the first of them
  std::vector<std::vector<std::int32_t>> means;  ///< of each, the old rows whose mean it begins as, at least one

  std::int64_t end() const { return first + static_cast<std::int64_t>(means.size()); }
};

/// The config.json `config` with an embedding of at least `tokens` rows: as many, or those that it has where padding leaves room.
std::string with_vocabulary(const std::string& config, std::int64_t tokens);

/// The model with those rows: every parameter along the vocabulary (embedding, untied head, the head's bias) has at least rows.end() of
/// them. A new row is the mean in fp32, summed in the order given, of rows as the base's files hold them, then rounded to the parameter's
/// dtype. Rows below `first`, and padding past the end, stay. The result is on the meta device and is read in parts: a part costs its own
/// rows of the base and those that its new rows are means of. Of the longer vocabularies of Chinese-LLaMA (Cui et al. 2023).
/// @throws ConfigError where a mean is of a row that the model lacks.
LoadedModel grow_vocabulary(LoadedModel base, const NewRows& rows);

}  // namespace herd
