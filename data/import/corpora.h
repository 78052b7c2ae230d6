#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/base/registry.h"

namespace herd {

class PairSink;

/// Which pairs a session of several utterances gives.
enum class Turns {
  kShipped,  ///< as the published corpus has it: Corpus::shipped
  kAll,      ///< each utterance with the one after it
  kWhole,    ///< none: the session as one conversation, which only JSON lines can hold
};

/// What the published corpus has of a session.
enum class Sessions { kNone, kFirstPair, kPairs, kTwoLines };

/// One raw layout of the Chinese chat corpora.
struct Corpus {
  std::string layout;                   ///< for people
  std::filesystem::path folder;         ///< in which the raw corpora keep it
  std::vector<std::string> files;       ///< its files there, in order; empty: every file of the folder, by name
  bool together = false;                ///< the files make sense together only
  bool traditional = false;             ///< the published form is converted to simplified characters
  Sessions shipped = Sessions::kNone;   ///< kNone: the layout knows pairs, not sessions
  bool (*fits)(std::string_view line);  ///< whether a line looks like this layout; null: any does
  void (*read)(const std::vector<std::filesystem::path>& files, PairSink& sink);
};

/// chatterbot, douban, ptt, qingyun, subtitle, tieba, weibo, xiaohuangji.
const Table<Corpus>& corpora();

struct ImportRequest {
  std::string corpus;
  std::filesystem::path source;  ///< its file, or the folder of its files
  std::filesystem::path output;
  Turns turns = Turns::kShipped;
  bool json_lines = false;  ///< alpaca lines, or conversation lines under Turns::kWhole; else `query TAB answer`
  bool simplify = false;    ///< traditional characters to simplified, also where the published form leaves them
};

struct ImportCount {
  std::int64_t written = 0;
  std::vector<std::pair<std::string, std::int64_t>> left_out;  ///< why, and how many, in the order of first sight
};

/// Reads a raw corpus and writes what the published one has: pairs that are two fields of a tab-separated line and no more. Invalid UTF-8
/// reads as U+FFFD. Files are streamed.
/// @throws ConfigError for an unknown corpus and for turns that it has not; DataError with file and line where the file has another layout,
///         for files that do not belong together, for a corpus without a pair, an output that is an input; IoError
ImportCount import_corpus(const ImportRequest& request);

}  // namespace herd
