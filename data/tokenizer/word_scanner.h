#pragma once
#include <string_view>

namespace herd {

/// The end of the word that begins at byte `at` of `text` (UTF-8, at < its size).
using WordScanner = std::size_t (*)(std::string_view text, std::size_t at);

/// A scanner written by hand that parts a text as the split pattern does, its matches and what lies between them alike; nullptr for a
/// pattern that has none. Ten times the speed of a regular expression; the patterns of GPT-2 (and MOSS), LLaMA-3, Qwen and BLOOM have one.
WordScanner word_scanner(std::string_view pattern);

inline constexpr const char* kGpt2Pattern = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
inline constexpr const char* kLlama3Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
inline constexpr const char* kQwenPattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
inline constexpr const char* kBloomPattern = R"( ?[^(\s|[.,!?…。，、।۔،])]+)";

}  // namespace herd
