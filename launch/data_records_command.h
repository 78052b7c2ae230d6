#pragma once

namespace CLI {
class App;
}

namespace herd {

/// Adds `herd data export RECIPE --output FILE [--side train|held_out|both]` and `herd data dedupe FILE… --output FILE [--near 0.8]`,
/// which write records as JSON lines.
void add_data_records(CLI::App& data);

}  // namespace herd
