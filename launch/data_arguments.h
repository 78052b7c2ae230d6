#pragma once
#include <string>
#include <vector>

#include "launch/run_config.h"

namespace CLI {
class App;
}

namespace herd {

/// `[RECIPE] [key=value…]`, or sets alone: `--sets FILE… [--template NAME] [--tokenizer DIR]`, also over a recipe's own.
struct DataArguments {
  std::vector<std::string> recipe, sets;
  std::string template_name, tokenizer;

  /// The recipe's data and tokenizer with what is on the hub fetched. @throws ConfigError where there is neither a recipe nor a set.
  RunConfig config(bool with_tokenizer) const;
};

void add_data_arguments(CLI::App& command, DataArguments& arguments, bool with_tokenizer);

/// Whether stdout is a terminal that nobody asked to be without colours.
bool wants_color();

}  // namespace herd
