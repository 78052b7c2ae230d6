#pragma once

namespace CLI {
class App;
}

namespace herd {

/// Adds `herd data import CORPUS PATH --output FILE`, which writes a raw Chinese chat corpus as pairs.
void add_data_import(CLI::App& data);

}  // namespace herd
