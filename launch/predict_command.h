#pragma once

namespace herd {

/// `herd predict`.
int predict_command(int argc, char** argv);

}  // namespace herd
