#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace herd {

/// The forms of a time that sbatch takes (its manual, --time).
inline constexpr const char* kSlurmTimes = "minutes, MM:SS, HH:MM:SS, D-HH, D-HH:MM, D-HH:MM:SS or UNLIMITED";

/// Seconds of such a time, infinity for UNLIMITED; nothing where it is none, or zero.
std::optional<double> slurm_time_s(const std::string& text);

/// The indices of `0-7`, `1,3,5`, `0-15:4`, in the order given; `%2` at the end, how many run at once, is none of them.
/// @throws ConfigError for anything else, an index twice, or more than kMostElements.
std::vector<std::int64_t> array_indices(const std::string& text);
inline constexpr std::int64_t kMostElements = 10000;

/// Whether a text is a job's number: `123`, or `123_4` of an array's element.
bool is_job_id(const std::string& text);

}  // namespace herd
