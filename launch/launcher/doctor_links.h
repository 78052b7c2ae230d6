#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "launch/launcher/doctor_report.h"

namespace herd {

/// Time of one all-reduce between two hosts, or inside one (a == b): the median of several.
struct LinkTime {
  std::string a, b;
  double seconds = 0;
  std::string name() const { return a == b ? "inside " + a : a + " " + b; }
};
using Baseline = std::map<std::string, double>;  ///< seconds by LinkTime::name()

struct LinkJudgement {
  std::vector<Finding> findings;
  std::vector<std::string> slow_hosts;
};
/// A link is slow at `ratio` times its baseline, or of the lower quartile of all links between hosts (with three hosts a slow one makes two of three links slow), and
/// a millisecond more. A host is slow itself, the worst first, where more than half of its links (two at least) are slow and their median is `ratio` times what the other
/// links have, each beside its usual time: where all is slow no host stands out. What is left are slow links.
LinkJudgement judge_links(const std::vector<LinkTime>& times, const Baseline& baseline, double ratio);

/// Times that were stored for all-reduces of so many bytes; empty where there are none. @throws IoError for a damaged file.
Baseline read_baseline(const std::filesystem::path& file, std::int64_t bytes);
/// Adds the links that the file has no time of, or replaces all. @throws IoError.
void store_baseline(const std::filesystem::path& file, std::int64_t bytes, const std::vector<LinkTime>& times, bool replace);

}  // namespace herd
