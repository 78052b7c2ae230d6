#include "launch/jobs/job_record.h"

#include <nlohmann/json.hpp>

#include "launch/jobs/slurm_words.h"
#include "runtime/base/error.h"
#include "runtime/base/file.h"

namespace herd {
namespace {

using Json = nlohmann::ordered_json;

}  // namespace

void write_job(const RunFolder& folder, const JobRecord& record) {
  Json json{{"job", record.job}, {"script", record.script}, {"submitted", record.submitted}, {"stages", Json::array()}};
  for (const auto& stage : record.stages) json["stages"].push_back({{"name", stage.name}, {"job", stage.job}, {"script", stage.script}});
  write_file_atomically(folder.job(), json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

std::optional<JobRecord> read_job(const RunFolder& folder) {
  if (!std::filesystem::exists(folder.job())) return std::nullopt;
  const auto text = read_file(folder.job());
  const auto bad = [&](const std::string& found) {
    return DataError({.who = folder.job().string(),
                      .found = found,
                      .expected = "what herd submit wrote: job, script, submitted, stages",
                      .remedy = "remove the file"});
  };
  try {
    const auto json = Json::parse(text);
    JobRecord record{.job = json.at("job"), .script = json.at("script"), .submitted = json.at("submitted"), .stages = {}};
    for (const auto& stage : json.at("stages"))
      record.stages.push_back({.name = stage.at("name"), .job = stage.at("job"), .script = stage.at("script")});
    if (!is_job_id(record.job)) throw bad("the job '" + record.job + "'");
    return record;
  } catch (const Json::exception& error) {
    throw bad(error.what());
  }
}

}  // namespace herd
