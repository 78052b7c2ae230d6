#pragma once
#include <cstdint>
#include <filesystem>
#include <vector>

#include "launch/launcher/doctor_links.h"
#include "launch/launcher/doctor_report.h"
#include "parallel/comm/communicator.h"

namespace herd {

/// The card of each host, rank 0's first, the same on every rank. @param folder to be shared. All ranks call it together.
std::vector<HostCard> gather_cards(Communicator& world, const std::filesystem::path& folder);

/// Times an fp32 all-reduce of so many bytes inside each host that has two ranks and more, and between the first ranks of each two hosts, one pair at a time; each `repeats` times
/// after one that is not counted. The same on every rank. All ranks call it together.
std::vector<LinkTime> time_links(Communicator& world, const std::vector<HostCard>& cards, std::int64_t bytes, int repeats);

}  // namespace herd
