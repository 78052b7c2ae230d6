#include "data/import/corpora.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>

#include "data/format/line_reader.h"
#include "data/import/layouts.h"
#include "data/import/pair_sink.h"
#include "data/tokenizer/utf8.h"

namespace herd {
namespace {

namespace fs = std::filesystem;
using namespace layouts;

constexpr int kLinesLookedAt = 100;

std::vector<fs::path> all_files(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.is_regular_file() && !entry.path().filename().string().starts_with('.')) files.push_back(entry.path());
  std::ranges::sort(files);
  if (files.empty())
    throw DataError({.who = folder.string(), .found = "a folder without files", .expected = "the corpus' files", .remedy = ""});
  return files;
}

std::vector<fs::path> files_of(const std::string& name, const Corpus& corpus, const fs::path& source) {
  const auto what = corpus.files.empty() ? "the files of " + corpus.folder.string() : join(corpus.files);
  if (!fs::exists(source)) throw io_error(source, "cannot open to read", ENOENT);
  if (!fs::is_directory(source)) {
    if (corpus.together)
      throw DataError(
          {.who = source.string(), .found = "a file", .expected = fmt::format("for {} the folder of {}", name, what), .remedy = ""});
    return {source};
  }
  auto folder = source;
  for (const auto& below : {corpus.folder.filename(), corpus.folder})
    if (fs::is_directory(source / below)) folder = source / below;
  if (corpus.files.empty()) return all_files(folder);
  std::vector<fs::path> files;
  for (const auto& file : corpus.files) {
    if (!fs::exists(folder / file))
      throw DataError({.who = folder.string(),
                       .found = "no file '" + file + "'",
                       .expected = what,
                       .remedy = "name the file itself if it has another name"});
    files.push_back(folder / file);
  }
  return files;
}

/// The share of the file's first lines that look like `corpus`.
double share_of(const Corpus& corpus, const std::vector<std::string>& lines) {
  const auto fitting = std::ranges::count_if(lines, [&](const std::string& line) { return corpus.fits && corpus.fits(line); });
  return static_cast<double>(fitting) / static_cast<double>(lines.size());
}

/// Some 20 to 60 characters for a message, whole ones.
std::string_view beginning(std::string_view line) {
  std::size_t end = 0;
  while (end < line.size() && end < 60) next_code_point(line, end);
  return line.substr(0, end);
}

void check_layout(const std::string& name, const Corpus& corpus, const fs::path& file) {
  LineReader reader(file, LineReader::BadUtf8::kReplace);
  std::vector<std::string> lines;
  std::string line;
  while (lines.size() < kLinesLookedAt && reader.next(line))
    if (!line.empty()) lines.push_back(line);
  if (lines.empty())
    throw DataError({.who = file.string(),
                     .found = "an empty file",
                     .expected = fmt::format("the layout of {}: {}", name, corpus.layout),
                     .remedy = ""});
  if (!corpus.fits || share_of(corpus, lines) >= 0.5) return;
  std::vector<std::string> like;
  for (const auto& [other, layout] : corpora())
    if (share_of(layout, lines) >= 0.9) like.push_back(other);
  throw DataError({.who = file.string(),
                   .found = fmt::format("lines such as '{}'", beginning(lines[0])),
                   .expected = fmt::format("the layout of {}: {}", name, corpus.layout),
                   .remedy = like.empty() ? "" : "this looks like " + join(like, " or ")});
}

void check_turns(const ImportRequest& request, const Corpus& corpus) {
  if (request.turns != Turns::kShipped && corpus.shipped == Sessions::kNone) {
    std::vector<std::string> with_sessions;
    for (const auto& [name, other] : corpora())
      if (other.shipped != Sessions::kNone) with_sessions.push_back(name);
    throw ConfigError({.who = "--turns",
                       .found = request.corpus + ", which has pairs and no sessions",
                       .expected = "one of " + join(with_sessions),
                       .remedy = ""});
  }
  if (request.turns == Turns::kWhole && !request.json_lines)
    throw ConfigError({.who = "--turns whole",
                       .found = "tab-separated output",
                       .expected = "--format jsonl, which can hold a conversation",
                       .remedy = ""});
}

}  // namespace

const Table<Corpus>& corpora() {
  static const Table<Corpus> table{
      "corpus",
      {
          {"chatterbot",
           {.layout = "'- - post' and '  - response' lines",
            .folder = "chatterbot-1k/chinese",
            .files = {},
            .fits = fits_chatterbot,
            .read = read_chatterbot}},
          {"douban",
           {.layout = "label 0 or 1, then utterances, parted by tabs",
            .folder = "douban-multiturn-100w",
            .files = {"train.txt", "dev.txt", "test.txt"},
            .shipped = Sessions::kFirstPair,
            .fits = fits_douban,
            .read = read_douban}},
          {"ptt",
           {.layout = "query and answer parted by white space, traditional characters",
            .folder = "ptt-42w",
            .files = {"Gossiping-QA-Dataset.txt"},
            .traditional = true,
            .fits = fits_words,
            .read = read_ptt}},
          {"qingyun",
           {.layout = "query | answer",
            .folder = "qingyun-11w",
            .files = {"12万对话语料青云库.csv"},
            .fits = fits_bar,
            .read = read_qingyun}},
          {"subtitle",
           {.layout = "'E' between sessions, 'M utterance' lines",
            .folder = "subtitle-useless",
            .files = {"dgk_shooter_min.conv"},
            .shipped = Sessions::kPairs,
            .fits = fits_sessions,
            .read = read_subtitle}},
          {"tieba",
           {.layout = "query and answer parted by white space",
            .folder = "tieba-305w",
            .files = {"tieba.dialogues"},
            .fits = fits_words,
            .read = read_tieba}},
          {"weibo",
           {.layout = "a line of each file a pair",
            .folder = "weibo-400w",
            .files = {"stc_weibo_train_post", "stc_weibo_train_response"},
            .together = true,
            .fits = nullptr,
            .read = read_weibo}},
          {"xiaohuangji",
           {.layout = "'E' between sessions, 'M utterance' lines",
            .folder = "xiaohuangji-40w",
            .files = {"xiaohuangji50w_nofenci.conv"},
            .shipped = Sessions::kTwoLines,
            .fits = fits_sessions,
            .read = read_xiaohuangji}},
      }};
  return table;
}

ImportCount import_corpus(const ImportRequest& request) {
  const auto& corpus = corpora().at(request.corpus);
  check_turns(request, corpus);
  const auto files = files_of(request.corpus, corpus, request.source);
  for (const auto& file : files) check_layout(request.corpus, corpus, file);
  ImportCount count;
  write_text(request.output, files, [&](TextOutput& out) {
    PairSink sink(corpus, request, out);
    corpus.read(files, sink);
    count = sink.count();
    if (count.written == 0) throw DataError({.who = request.source.string(), .found = "no pair", .expected = "at least one", .remedy = ""});
  });
  return count;
}

}  // namespace herd
