#pragma once
#include <optional>
#include <string_view>

namespace herd {

/// The number that an answer (UTF-8) ends with: the one right after the last `####` that has one (GSM8K's own form, Cobbe et al. 2021),
/// else the last of all. A number is digits, half or full width, with
///  · commas between thousands (`1,234.5`), a decimal point, an exponent (`1.5e3`);
///  · a minus (-, −, －) that does not follow a digit, a letter or a closing bracket: `10-3` ends with 3;
///  · a fraction (`3/4`, `1 3/4`), where no third part makes it a date;
///  · currency before it and percent behind it, which say nothing: `$5` is 5, `25%` is 25.
/// Digits that follow a Latin letter (`m2`, `answer1`) are none. ½, ² and Chinese numerals are not read.
std::optional<double> number_in(std::string_view answer);

/// At most this far apart two numbers are one, as the LLM-Adapters' evaluation has it (Hu et al. 2023): 1/3 is 0.333.
inline constexpr double kSameNumber = 1e-3;

/// Whether the answer ends with the reference's number. @throws DataError where the reference has none.
bool number_match(std::string_view answer, std::string_view reference);

}  // namespace herd
