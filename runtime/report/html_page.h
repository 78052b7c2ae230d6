#pragma once
#include <string>
#include <string_view>

namespace herd {

/// A page in English that needs no other file, for light and dark screens: its style knows `cards` of `card`s (`pictures`, `numbers`), tables in `scroll`, `faint`
/// text, and the classes of Picture::svg(false).
/// @param title plain text. @param body HTML. @param more_style what this page has besides.
std::string html_page(std::string_view title, const std::string& body, std::string_view more_style = {});

}  // namespace herd
