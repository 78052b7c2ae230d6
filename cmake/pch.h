#pragma once
// What nearly every file of herd includes, parsed once. gcc instantiates a header's pending templates again in every file that
// uses it: ATen costs 2 s so, autograd's and nlohmann's headers 4 s more, therefore only the few files that need them include them.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>
