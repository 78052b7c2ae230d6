#pragma once

namespace CLI {
class App;
}

namespace herd {

/// Adds `herd data format cot|table|airoboros|belle FILE… --output FILE`, which write instruction records of files in other forms.
void add_data_format(CLI::App& data);

/// Adds `herd data demo [--records N] [--seed N] --output FOLDER`, which writes small instruction files of our own making.
void add_data_demo(CLI::App& data);

}  // namespace herd
