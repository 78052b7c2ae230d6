#include "data/import/layouts.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "data/format/line_reader.h"
#include "data/format/python_text.h"

namespace herd::layouts {
namespace {

constexpr std::string_view kPost = "- -", kResponse = "  -", kNoData = "沒有資料";
constexpr std::string_view kUnwanted[] = {"{", "qq", "菲菲"};

template <class Take>
void for_each_line(const Files& files, const Take& take) {
  std::string line;
  for (const auto& file : files) {
    LineReader lines(file, LineReader::BadUtf8::kReplace);
    while (lines.next(line)) take(std::string_view(line), lines);
  }
}

bool contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

bool is_separator(std::string_view line) { return strip(line) == "E"; }
bool is_utterance(std::string_view line) { return line.starts_with("M ") || line == "M"; }

std::string without(std::string_view text, char unwanted) {
  std::string out(text);
  std::erase(out, unwanted);
  return out;
}

/// Sessions of `E` and `M` lines; `clean` is applied to each utterance.
template <class Clean>
void read_sessions(const Files& files, PairSink& sink, const Clean& clean) {
  for (const auto& file : files) {
    std::vector<std::string> session;
    for_each_line({file}, [&](std::string_view line, const LineReader&) {
      if (is_separator(line)) return sink.session(session);
      if (!is_utterance(line)) return sink.leave_out("a line that is neither E nor M");
      session.push_back(clean(line.substr(std::min<std::size_t>(2, line.size()))));
    });
    sink.session(session);
  }
}

}  // namespace

void read_chatterbot(const Files& files, PairSink& sink) {
  for (const auto& file : files) {
    std::optional<std::string> post;  // a response before a file's first post is the file's own heading
    for_each_line({file}, [&](std::string_view line, const LineReader&) {
      if (line.starts_with(kPost)) post = strip(line.substr(kPost.size()));
      else if (line.starts_with(kResponse) && post) sink.pair(*post, strip(line.substr(kResponse.size())));
      else sink.leave_out("a line that is neither post nor response");
    });
  }
}

void read_douban(const Files& files, PairSink& sink) {
  for_each_line(files, [&](std::string_view line, const LineReader& lines) {
    auto fields = split(line, '\t');
    if (fields[0] == "0") return sink.leave_out("label 0");
    if (fields[0] != "1")
      throw lines.error(fmt::format("the label '{}'", fields[0].substr(0, 40)), "0 or 1, then the utterances, parted by tabs");
    if (fields.size() == 1) return sink.leave_out("no utterance");
    fields.erase(fields.begin());
    sink.session(fields);
  });
}

void read_ptt(const Files& files, PairSink& sink) {
  for_each_line(files, [&](std::string_view line, const LineReader&) {
    if (contains(line, kNoData)) return sink.leave_out("without an answer (沒有資料)");
    sink.fields(split_whitespace(line));
  });
}

void read_qingyun(const Files& files, PairSink& sink) {
  for_each_line(files, [&](std::string_view line, const LineReader&) {
    for (const auto unwanted : kUnwanted)
      if (contains(line, unwanted)) return sink.leave_out(fmt::format("with '{}'", unwanted));
    auto fields = split(line, '|');
    for (auto& field : fields) field = strip(field);
    sink.fields(fields);
  });
}

void read_subtitle(const Files& files, PairSink& sink) {
  read_sessions(files, sink, [](std::string_view text) { return without(text, '/'); });
}

void read_tieba(const Files& files, PairSink& sink) {
  for_each_line(files, [&](std::string_view line, const LineReader&) { sink.fields(split_whitespace(line)); });
}

void read_weibo(const Files& files, PairSink& sink) {
  LineReader posts(files.at(0), LineReader::BadUtf8::kReplace), responses(files.at(1), LineReader::BadUtf8::kReplace);
  std::string post, response;
  for (;;) {
    const bool one = posts.next(post), other = responses.next(response);
    if (one != other)
      throw(one ? posts : responses)
          .error(fmt::format("a line that {} has no partner for", (one ? responses : posts).path().string()), "as many posts as responses",
                 "is one of the two files cut short?");
    if (!one) return;
    sink.pair(without(post, ' '), without(response, ' '));
  }
}

void read_xiaohuangji(const Files& files, PairSink& sink) {
  read_sessions(files, sink, [](std::string_view text) { return std::string(text); });
}

bool fits_chatterbot(std::string_view line) { return line.starts_with("- ") || line.starts_with(kResponse) || line.ends_with(':'); }

bool fits_douban(std::string_view line) { return line.starts_with("0\t") || line.starts_with("1\t"); }

bool fits_bar(std::string_view line) { return contains(line, "|"); }

bool fits_sessions(std::string_view line) { return is_separator(line) || is_utterance(line); }

bool fits_words(std::string_view line) {
  return split_whitespace(line).size() > 1 && !fits_chatterbot(line) && !fits_douban(line) && !fits_bar(line) && !fits_sessions(line);
}

}  // namespace herd::layouts
