#pragma once
#include <filesystem>
#include <string_view>
#include <vector>

#include "data/import/pair_sink.h"

namespace herd::layouts {

using Files = std::vector<std::filesystem::path>;

void read_chatterbot(const Files& files, PairSink& sink);   ///< YAML-like: `- - post`, then `  - response` once or more
void read_douban(const Files& files, PairSink& sink);       ///< `label TAB utterance TAB utterance …`
void read_ptt(const Files& files, PairSink& sink);          ///< words, traditional characters
void read_qingyun(const Files& files, PairSink& sink);      ///< `query | answer`
void read_subtitle(const Files& files, PairSink& sink);     ///< `E`, then `M utterance` lines, with slashes between words
void read_tieba(const Files& files, PairSink& sink);        ///< words
void read_weibo(const Files& files, PairSink& sink);        ///< line by line, posts in one file and responses in the other
void read_xiaohuangji(const Files& files, PairSink& sink);  ///< `E`, then `M utterance` lines

/// Whether a line looks like the layout.
bool fits_chatterbot(std::string_view line);
bool fits_douban(std::string_view line);
bool fits_words(std::string_view line);
bool fits_bar(std::string_view line);
bool fits_sessions(std::string_view line);

}  // namespace herd::layouts
