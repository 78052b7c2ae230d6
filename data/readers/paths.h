#pragma once
#include <span>
#include <string>
#include <vector>

namespace herd {

/// The files that patterns name: `*`, `?` and `[…]` within a name, `**` for any folders between; a folder stands for every file of data
/// inside of it, by the ending of its name. Those of one pattern come sorted by name; names that begin with a dot need a pattern that does.
/// A file that exists is taken as it is, whatever its name holds.
/// @throws IoError where a pattern names no file, with the nearest name there is
std::vector<std::string> expand_paths(std::span<const std::string> patterns);

/// `.json`, `.txt`, … of a file's name, in lower case, without `.gz` and `.zst`.
std::string data_ending(const std::string& path);

}  // namespace herd
