#include "data/format/airoboros.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "data/readers/conversation.h"
#include "runtime/base/error.h"

namespace herd {
namespace {

constexpr std::array<std::string_view, 6> kMarkers{"BEGININPUT", "ENDINPUT",         "BEGINCONTEXT",
                                                   "ENDCONTEXT", "BEGININSTRUCTION", "ENDINSTRUCTION"};
constexpr std::string_view kPlain = " PLAINFORMAT", kFence = "```";

DataError mistake(std::string who, std::string found, std::string expected) {
  return DataError({.who = std::move(who), .found = std::move(found), .expected = std::move(expected), .remedy = ""});
}

/// Calls `take` with each line of `text`, without its end.
template <class Take>
void for_each_line(std::string_view text, const Take& take) {
  for (;;) {
    const auto end = text.find('\n');
    take(text.substr(0, end));
    if (end == std::string_view::npos) return;
    text.remove_prefix(end + 1);
  }
}

const std::string_view& without_markers(const std::string_view& text, const char* who) {
  for_each_line(text, [&](std::string_view line) {
    if (std::ranges::count(kMarkers, line))
      throw mistake(who, fmt::format("the line '{}' inside it", line), "text without airoboros' markers");
  });
  return text;
}

std::string metadata_lines(const ContextBlock& block) {
  std::string lines;
  for (const auto& [key, value] : block.metadata) {
    if (key.empty() || key.find_first_of(":\n") != std::string::npos)
      throw mistake("metadata", fmt::format("the key '{}'", key), "a word without colon or line end");
    if (value.find('\n') != std::string::npos) throw mistake(fmt::format("metadata '{}'", key), "a value with a line end", "one line");
    lines += fmt::format("{}: {}\n", key, value);
  }
  return lines;
}

}  // namespace

std::string closed_context(std::span<const ContextBlock> blocks, std::string_view instruction) {
  if (blocks.empty()) throw mistake("closed context", "no block", "at least one text to answer from");
  std::string out;
  for (const auto& block : blocks)
    out += fmt::format("BEGININPUT\nBEGINCONTEXT\n{}ENDCONTEXT\n{}\nENDINPUT\n", metadata_lines(block),
                       without_markers(block.text, "a block's text"));
  return out + fmt::format("BEGININSTRUCTION\n{}\nENDINSTRUCTION", without_markers(instruction, "the instruction"));
}

std::string with_sources(std::string_view answer, std::span<const ContextBlock> cited) {
  std::string out(answer);
  for (const auto& block : cited) {
    const auto lines = metadata_lines(block);
    if (lines.empty()) throw mistake("a source", "no metadata", "at least one line to cite");
    out += "\nSource:\n" + lines.substr(0, lines.size() - 1);
  }
  return out;
}

std::string plain_format(std::string_view instruction) {
  std::string out(trimmed_text(instruction));
  if (!out.ends_with(kPlain)) out += kPlain;
  return out;
}

std::string code_alone(std::string_view answer) {
  std::string code;
  bool fenced = false, any = false;
  for_each_line(answer, [&](std::string_view line) {
    if (line.starts_with(kFence)) {
      fenced = !fenced;
      any = true;
    } else if (fenced) {
      code.append(line).append("\n");
    }
  });
  if (fenced) throw mistake("a coding answer", "a fence (```) without its end", "code between two fences, or code alone");
  if (!any) return std::string(answer);
  if (!code.empty()) code.pop_back();
  return code;
}

}  // namespace herd
