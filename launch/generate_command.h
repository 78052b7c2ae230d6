#pragma once

namespace herd {

/// `herd generate --model FOLDER …`: answers one prompt, streamed to the terminal, or a file of them. docs/generate.md.
int generate_command(int argc, char** argv);

}  // namespace herd
