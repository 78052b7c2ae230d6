#pragma once

namespace herd {

/// `herd evaluate compare`: results of several evaluations side by side.
int evaluate_compare(int argc, char** argv);

}  // namespace herd
