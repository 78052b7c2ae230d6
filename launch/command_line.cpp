#include "launch/command_line.h"

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdio>
#include <iostream>

#include "runtime/base/error.h"
#include "runtime/base/exit_codes.h"
#include "runtime/base/file.h"

namespace herd {

bool parse_arguments(CLI::App& app, int argc, char** argv) {
  try {
    app.parse(argc, argv);
    return true;
  } catch (const CLI::CallForHelp&) {
    std::cout << app.help();
    return false;
  } catch (const CLI::ParseError& e) {
    throw ConfigError({.who = "command line", .found = e.what(), .expected = "", .remedy = "(" + app.get_name() + " --help)"});
  }
}

void declare_list(CLI::App& app, const std::string& name, std::vector<std::string>& list, const std::string& what) {
  app.add_option(name, list, what)->expected(1)->allow_extra_args(false)->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

ConfigSources recipe_and_overrides(const std::vector<std::string>& arguments) {
  ConfigSources sources;
  for (const auto& argument : arguments) {
    const bool is_override = argument.find('=') != std::string::npos;
    if (is_override) {
      sources.overrides.push_back(argument);
    } else if (sources.file.empty()) {
      sources.file = argument;
    } else {
      throw ConfigError({.who = "command line",
                         .found = "'" + argument + "' after the recipe '" + sources.file.string() + "'",
                         .expected = "overrides as key.path=value",
                         .remedy = ""});
    }
  }
  return sources;
}

void refuse_arguments(std::string found, std::string expected) {
  throw ConfigError({.who = "command line", .found = std::move(found), .expected = std::move(expected), .remedy = "(--help says more)"});
}

void print_now(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0)
    throw io_error("standard output", "cannot write", errno);
}

int run_guarded(const std::function<int()>& command) {
  const auto tell = [](const std::exception& e, int code) {
    std::fprintf(stderr, "error: %s\n", e.what());
    return code;
  };
  try {
    return command();
  } catch (const ConfigError& e) {
    return tell(e, kExitUsage);
  } catch (const std::exception& e) {
    return tell(e, kExitFailure);
  }
}

}  // namespace herd
