#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace herd {

/// Edit distance with transpositions (optimal string alignment), in bytes.
std::size_t edit_distance(std::string_view a, std::string_view b);

/// The candidate nearest to `name`, or "" where none is near enough to be a typing slip (a third of its length).
std::string nearest(std::string_view name, std::span<const std::string> candidates);

/// `a, b, c`.
std::string join(std::span<const std::string> parts, std::string_view separator = ", ");

/// `12,345,678`.
std::string with_thousands(std::int64_t value);

/// `1 rank`, `12,345 ranks`.
std::string plural(std::int64_t count, std::string_view noun);

/// `1.5 GiB`, `312 B`: binary units, three digits.
std::string human_bytes(std::uint64_t bytes);

/// Lower-case hex fingerprint of bytes: 128-bit XXH3 (xxHash, Y. Collet), 32 characters. Not for security.
std::string fingerprint(std::string_view bytes);

}  // namespace herd
