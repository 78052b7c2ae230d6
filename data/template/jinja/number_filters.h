#pragma once
#include "data/template/jinja/functions.h"

namespace herd::jinja {

// The filters int, float and abs.
Value to_int(Context& context, const Value& value, Arguments& arguments);
Value to_float(Context& context, const Value& value, Arguments& arguments);
Value magnitude(Context& context, const Value& value, Arguments& arguments);

}  // namespace herd::jinja
