#include "infer/server/served.h"

#include <algorithm>

#include "infer/server/api_error.h"
#include "runtime/base/text.h"

namespace herd {

const ServedModel& Served::find(const std::string& name) const {
  if (name.empty()) return models.front();
  const auto found = std::ranges::find(models, name, &ServedModel::name);
  if (found != models.end()) return *found;
  std::vector<std::string> names;
  for (const auto& model : models) names.push_back(model.name);
  throw ApiError(404, "'model': found '" + name.substr(0, 60) + "'; expected one of " + join(names), "model", "model_not_found");
}

}  // namespace herd
