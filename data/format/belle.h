#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace herd {

struct BelleRequest {
  std::vector<std::filesystem::path> files;  ///< {instruction, input, output}: a JSON array, or JSON lines
  std::filesystem::path output;
  std::string name = "belle";  ///< ids are NAME-1, NAME-2, …
  std::string between{};       ///< what parts instruction and input where there is an input; BELLE puts nothing there
};

/// Instruction records as conversations of two turns, as BELLE's convert_to_conv_data does: human = instruction + input,
/// assistant = output.
/// @return records written
/// @throws DataError with file, line and record; for an output that is an input; IoError
std::int64_t format_belle(const BelleRequest& request);

}  // namespace herd
