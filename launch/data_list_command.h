#pragma once

namespace CLI {
class App;
}

namespace herd {

/// Adds what tells of data without a recipe: `herd data list [--tag TAG] [--catalogue FILE]`, `herd data show ALIAS|FILE [--records N]`,
/// `herd data formats`, `herd data templates [NAME]`.
void add_data_lists(CLI::App& data);

}  // namespace herd
