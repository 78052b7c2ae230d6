#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace herd {

/// Texts are UTF-8. Full-width forms of ASCII (Ａ, ３, ：) become ASCII, the ideographic blank a blank.
std::string half_width(std::string_view text);

/// What exact match compares: NFC, half_width, lower case, one blank for each run of white space; then, again and again, no white space,
/// quotation mark or bracket at either end, and none of . , ; : ! ? 。 、 at the end.
/// Signs within stay, and so do - + % $ everywhere: -3 is not 3. Articles stay.
std::string normal_answer(std::string_view text);

/// Whether the answer is one of the references, in normal_answer's form.
bool exact_match(std::string_view answer, std::span<const std::string> references);

/// The letters that an answer to a question of choice names, in order, each once, as `ACD`; "" where it names none. What is right is the
/// exact set: one letter of two is wrong. Letters go from A to the `choices`-th and stand free of Latin letters and digits;
/// several may follow each other (`ACD`, `A, C and D`, `A、C`, `A和C`). The first rule that finds some decides:
///  1. the answer is nothing but one letter, of either case, in normal_answer's form;
///  2. the last letters that follow 答案, answer, 应选, 故选, 所以选, 因此选 or 选择, but for signs and words such as 是, is, option;
///  3. lines that begin with a letter and one of : . 、 ) : these letters, where the first letter of the answer is one of them;
///  4. the first letters of the answer. `A` before a blank and a word in lower case is the article, but for and, or, is.
/// @throws ConfigError unless `choices` is from 2 to 26.
std::string choice_letters(std::string_view answer, int choices = 5);

/// The words that may answer an instruction of the LLM-Adapters sets (Hu et al. 2023), from its last `Answer format: true/false` or
/// `answer1/answer2/…`: BoolQ, PIQA (solution), SIQA and ARC (answer), HellaSwag (ending), WinoGrande (option). None without such a line.
std::vector<std::string> answer_format(std::string_view instruction);

/// That of `words` which an answer names first, as a whole word in any case; a blank may stand before its digits (`Answer 2`). "" for none.
std::string answer_word(std::string_view answer, std::span<const std::string> words);

}  // namespace herd
