#pragma once
#include <span>
#include <utility>

namespace herd {

/// The files of configs/evaluate, by name: they go with the binary. Written by infer/CMakeLists.txt.
std::span<const std::pair<const char*, const char*>> embedded_evaluation_tasks();

}  // namespace herd
