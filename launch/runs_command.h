#pragma once

namespace herd {

/// `herd runs [FOLDER]`, `herd runs show|compare|tail|stop RUN …`: what runs there are, and how it stands with them.
int runs_command(int argc, char** argv);

}  // namespace herd
