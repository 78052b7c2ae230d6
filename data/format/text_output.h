#pragma once
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "runtime/base/file.h"

namespace herd {

/// Lines on their way to a file, in pieces that are worth a system call.
class TextOutput {
 public:
  explicit TextOutput(File& file) : file_(file) {}
  void line(std::string_view text);
  void flush();

 private:
  File& file_;
  std::string waiting_;
};

/// Writes `output` in one step (runtime/base/file.h): where `write` throws, there is no new file and an old one still stands.
/// @throws DataError where `output` is one of `inputs`; what `write` throws; IoError.
void write_text(const std::filesystem::path& output, std::span<const std::filesystem::path> inputs,
                const std::function<void(TextOutput&)>& write);

}  // namespace herd
