#pragma once

namespace herd {

/// `herd serve --model FOLDER …`: answers over HTTP until SIGTERM or SIGINT, then finishes what is under way. docs/serve.md.
int serve_command(int argc, char** argv);

}  // namespace herd
