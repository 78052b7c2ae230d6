#pragma once

namespace herd {

/// `herd config [RECIPE] [key=value…]` prints the resolved recipe, each value with where it came from;
/// `herd config --explain [KEY]` documents a key, a section or all sections.
/// @param argv argv[0] is the command's name. @return the exit code. @throws Error.
int config_command(int argc, char** argv);

}  // namespace herd
