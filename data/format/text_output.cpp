#include "data/format/text_output.h"

namespace herd {
namespace {

constexpr std::size_t kPiece = 1 << 20;

}  // namespace

void TextOutput::line(std::string_view text) {
  waiting_.append(text);
  waiting_.push_back('\n');
  if (waiting_.size() >= kPiece) flush();
}

void TextOutput::flush() {
  file_.write(waiting_);
  waiting_.clear();
}

void write_text(const std::filesystem::path& output, std::span<const std::filesystem::path> inputs,
                const std::function<void(TextOutput&)>& write) {
  for (const auto& input : inputs) {
    std::error_code ignored;
    if (std::filesystem::equivalent(output, input, ignored))
      throw DataError(
          {.who = output.string(), .found = "the output is an input", .expected = "another file", .remedy = "choose another --output"});
  }
  write_file_atomically(output, [&](File& file) {
    TextOutput text(file);
    write(text);
    text.flush();
  });
}

}  // namespace herd
