#pragma once
#include <string_view>

#include "data/template/jinja/ast.h"

namespace herd::jinja {

/// @throws DataError with the line, naming the construct, for what is no Jinja or none that herd knows.
Block parse(std::string_view source);

}  // namespace herd::jinja
