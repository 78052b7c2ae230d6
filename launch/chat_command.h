#pragma once

namespace herd {

/// `herd chat --model FOLDER …`: a conversation at the terminal, or over a pipe. docs/chat.md.
int chat_command(int argc, char** argv);

}  // namespace herd
