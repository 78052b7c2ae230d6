#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/config_files.h"

namespace CLI {
class App;
}

namespace herd {

/// Parses a subcommand's own arguments (argv[0] is its name); the app is called `herd NAME`. @return true to go on; false when the help was
/// asked for and printed.
/// @throws ConfigError for arguments that do not fit.
bool parse_arguments(CLI::App& app, int argc, char** argv);

/// A list, one item each time that the option is given: whatever stands in it, a comma too.
void declare_list(CLI::App& app, const std::string& name, std::vector<std::string>& list, const std::string& what);

/// `[RECIPE] [key=value…]` as they stand on a command line. @throws ConfigError for a second recipe.
ConfigSources recipe_and_overrides(const std::vector<std::string>& arguments);

/// What a command's options say together and may not. @throws ConfigError.
[[noreturn]] void refuse_arguments(std::string found, std::string expected);

/// Writes to standard output, at once. @throws IoError of "standard output".
void print_now(std::string_view text);

/// Runs `command` and turns what it throws into `error: …` on stderr and an exit code: kExitUsage for a wrong command line or
/// recipe, kExitFailure for all else.
int run_guarded(const std::function<int()>& command);

}  // namespace herd
