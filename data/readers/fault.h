#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace herd {

/// What is wrong with a record, thrown where nobody knows which record of which file it is. The reader makes a DataError of it, or counts
/// it.
struct RecordFault {
  std::string found{}, expected{}, remedy{};
  std::uint32_t lines_below = 0;  ///< how far below the record's first line
};

/// @throws RecordFault where the bytes are no text in UTF-8, with a guess at what they are instead, or where a NUL is among them.
void require_text(std::string_view bytes);

}  // namespace herd
