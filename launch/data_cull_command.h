#pragma once

namespace CLI {
class App;
}

namespace herd {

/// Adds `herd data cull FILE… --output FILE [--dropped FILE] [--rouge BOUND|--bm25 BOUND|--near BOUND|--any] [--keep first|longest]`: records
/// without near duplicates, refusals and what is too short or long.
void add_data_cull(CLI::App& data);

}  // namespace herd
