#pragma once

namespace herd {

/// `herd evaluate judge`: a judge marks the answers of an evaluation.
int evaluate_judge(int argc, char** argv);

}  // namespace herd
