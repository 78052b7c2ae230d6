#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/record.h"

namespace herd {

/// Why something that was generated, or a record that is culled, does not stay.
enum class Rejection {
  kUnanswered,  ///< the service gave no text
  kMalformed,   ///< not in the form that was asked for, or without a text that it must have
  kUnfinished,  ///< the answer ended at its longest
  kRefused,     ///< the model declines, or speaks of itself as a model
  kForbidden,   ///< asks for what a language model cannot do, or names what it must not
  kTooShort,
  kTooLong,
  kNearDuplicate,  ///< asks nearly what an earlier one asks
};

/// Each with what people call it.
inline constexpr std::array<std::pair<Rejection, const char*>, 8> kRejections{{{Rejection::kUnanswered, "unanswered"},
                                                                               {Rejection::kMalformed, "malformed"},
                                                                               {Rejection::kUnfinished, "unfinished"},
                                                                               {Rejection::kRefused, "refused by the model"},
                                                                               {Rejection::kForbidden, "forbidden words"},
                                                                               {Rejection::kTooShort, "too short"},
                                                                               {Rejection::kTooLong, "too long"},
                                                                               {Rejection::kNearDuplicate, "near duplicate"}}};
const char* name(Rejection rejection);

using RejectionCounts = std::map<Rejection, std::int64_t>;
/// `12 near duplicate, 3 too short`, or `none`.
std::string told(const RejectionCounts& counts);

/// Bounds in tokens of infer/metrics/tokens.h: words, or the characters of Chinese. 0 as a greatest: none.
struct LengthBounds {
  std::int64_t shortest_instruction = 3, longest_instruction = 0;  ///< of what is asked, without its input
  std::int64_t shortest_output = 1, longest_output = 0;            ///< of each answer
};

/// What is wrong with a record by itself: nothing asked or answered, lengths, an answer that refuses. Text to go on learning from
/// (Role::kText) is malformed here. Pure.
std::optional<Rejection> screen(const Record& record, const LengthBounds& bounds);
/// The same of what is asked alone.
std::optional<Rejection> screen_question(const Turn& turn, const LengthBounds& bounds);
std::optional<Rejection> screen_answer(std::string_view answer, const LengthBounds& bounds);

/// Whether an answer declines, or says that a model gives it, in English or Chinese: phrases such as `as an AI language model` anywhere,
/// `I'm sorry, but I cannot` at the beginning.
bool refuses(std::string_view answer);

/// The first of `words` that the text has: in Latin letters as a whole word in any case, else anywhere. Empty: none.
std::string forbidden_word(std::string_view text, const std::vector<std::string>& words);

}  // namespace herd
