#pragma once

namespace herd {

/// `herd evaluate`: a model measured by a task; docs/evaluate.md.
int evaluate_command(int argc, char** argv);

}  // namespace herd
