#pragma once

namespace herd {

/// `herd flight RUN`: what each rank of a run did last, and what the ranks' flight logs say together.
int flight_command(int argc, char** argv);

}  // namespace herd
