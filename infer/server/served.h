#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "data/record.h"
#include "infer/request.h"

namespace herd {

/// A name that clients may ask: the base, or an adapter on it.
struct ServedModel {
  std::string name;
  std::optional<std::size_t> adapter;
  std::function<Prompt(const Record&)> ask;  ///< through its template; called from several threads. @throws DataError for what the template has no form for
};

/// What a service serves: all on one base, so with one tokenizer.
struct Served {
  const Tokenizer& tokenizer;
  std::int64_t context = 0;         ///< tokens
  std::vector<ServedModel> models;  ///< the first answers those who name none

  /// @param name empty: the first. @throws ApiError 404 with the names there are.
  const ServedModel& find(const std::string& name) const;
};

}  // namespace herd
