#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "parallel/comm/flight.h"

namespace herd {

/// The logs of a job in its folder, by rank. @throws IoError where one is none, or where there are none.
std::vector<Flight> read_flights(const std::filesystem::path& folder);

/// What the logs of a job say together, a sentence each, the gravest first: ranks without a log, ranks that fell silent before the others,
/// and of each communicator the ranks that lag behind, entered something else than the others, or came late to what failed;
/// else what failed though all came. Empty where nothing differs.
/// Times of different hosts are as right as their clocks.
std::vector<std::string> compare_flights(const std::vector<Flight>& flights);

/// `11:03:05.250` (UTC) of microseconds since 1970; `-` for 0.
std::string clock_text(std::int64_t us);

}  // namespace herd
