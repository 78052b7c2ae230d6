#pragma once

namespace CLI {
class App;
}

namespace herd {

/// Adds `herd data stats RECIPE [key=value…]` or `herd data stats --sets FILE… [--template NAME] [--tokenizer DIR]`, with `[--output DIR]`:
/// what a mixture is made of, as a table, and in DIR as numbers, pictures and a page.
void add_data_stats(CLI::App& data);

}  // namespace herd
