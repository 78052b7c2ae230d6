#pragma once
#include <filesystem>
#include <memory>
#include <optional>

#include "launch/chat_lines.h"

namespace herd {

/// Lines of a person at a terminal (standard input and output), edited by libedit as `~/.editrc` says, with the lines of earlier chats to
/// go back to. Ctrl-C gives the line up, Ctrl-D on an empty one ends.
class LineEditor final : public LineSource {
 public:
  /// @param history a file of lines, for this user alone; made where it is missing. None: nothing is kept. One that cannot be read or
  /// written is told once, and nothing is kept.
  explicit LineEditor(const std::optional<std::filesystem::path>& history);
  ~LineEditor() override;
  ChatLine next(bool goes_on) override;

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

/// Where a user's chats keep the lines: $XDG_STATE_HOME/herd/chat_history, by default under ~/.local/state. None where neither is known.
std::optional<std::filesystem::path> chat_history_file();

}  // namespace herd
