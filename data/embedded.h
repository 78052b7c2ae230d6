#pragma once
#include <span>
#include <utility>

namespace herd {

/// The files of configs/templates, by name: they go with the binary, so that a model is put the same words wherever the binary stands.
/// Written by data/CMakeLists.txt.
std::span<const std::pair<const char*, const char*>> embedded_templates();
/// configs/data/catalogue.yaml.
const char* embedded_catalogue();

}  // namespace herd
