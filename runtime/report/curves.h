#pragma once
#include <string>
#include <vector>

#include "runtime/report/picture.h"
#include "runtime/report/plot.h"

namespace herd {

/// Loss curves of several runs in one picture, a colour each: the averaged training loss as a line, held-out losses as dots joined by a
/// thin one. Points that are not finite are left out, as are runs without any, apart from the legend.
/// @param runs the title of each is its name in the legend.
Picture curves_picture(const std::string& title, const std::vector<LossCurves>& runs);

}  // namespace herd
