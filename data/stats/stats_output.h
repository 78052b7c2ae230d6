#pragma once
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "data/stats/stats.h"
#include "runtime/report/picture.h"

namespace herd {

/// A table by set and what is to be known of all, for a terminal.
std::string stats_text(const DataStats& stats);

/// All numbers, as docs/data-commands.md lists them.
std::string stats_json(const DataStats& stats);

/// `sets`, `sizes`, `categories`, `languages`, `tags` and `lengths`: what the statistics show as pictures, without those that would say
/// nothing.
std::vector<std::pair<std::string, Picture>> stats_pictures(const DataStats& stats);

/// One page that asks for nothing from outside: pictures, tables and samples, for a phone as for a desk, in the light and in the dark.
std::string stats_page(const DataStats& stats);

/// `folder`/stats.json, index.html, and each picture as *.png and *.svg. @return their names. @throws IoError
std::vector<std::string> write_stats(const std::filesystem::path& folder, const DataStats& stats);

}  // namespace herd
