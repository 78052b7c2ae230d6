#include <fmt/format.h>

#include <algorithm>

#include "data/stats/stats_output.h"
#include "runtime/base/text.h"
#include "runtime/report/html_page.h"

namespace herd {
namespace {

const auto n = with_thousands;

constexpr std::string_view kMarks = R"css(
:root{--learnt:#d3efdf;--learnt-text:#0a4a2a}
@media(prefers-color-scheme:dark){:root{--learnt:#17402b;--learnt-text:#b9f0d0}}
mark{background:var(--learnt);color:var(--learnt-text);border-radius:3px}
)css";

std::string percent(std::int64_t part, std::int64_t whole) {
  return fmt::format("{:.1f} %", whole ? 100.0 * static_cast<double>(part) / static_cast<double>(whole) : 0.0);
}

std::string number(const std::string& value, const std::string& what) {
  return fmt::format("<div class=\"card\"><b>{}</b>{}</div>", escaped(value), escaped(what));
}

std::string numbers(const DataStats& stats) {
  const auto& report = stats.formatted;
  std::string out = "<div class=\"cards numbers\">" + number(n(stats.records()), "records");
  out += number(n(stats.lengths.total), std::string(stats.unit()) + (stats.tokenised ? ", before any cut" : ""));
  out += number(fmt::format("{:.1f}", stats.lengths.mean()),
                fmt::format("{} on average, {} at the median", stats.unit(), n(stats.lengths.quantile(0.5))));
  if (stats.tokenised) {
    out += number(n(report.truncated),
                  fmt::format("examples cut at {} tokens ({})", n(stats.max_tokens), percent(report.truncated, stats.lengths.number)));
    out += number(n(report.tokens_cut), fmt::format("tokens cut ({})", percent(report.tokens_cut, stats.lengths.total)));
    if (report.skipped_overlong) out += number(n(report.skipped_overlong), "left out as too long");
    if (report.skipped_unsupervised) out += number(n(report.skipped_unsupervised), "without a token to learn");
    out += number(percent(report.supervised_tokens, report.tokens), "of the tokens are learnt");
  }
  out += number(n(stats.exact_duplicates), "exact duplicates");
  out += number(n(stats.near_duplicates), fmt::format("near duplicates among the first {} records", n(stats.near_among)));
  return out + "</div>\n";
}

std::string sets_table(const DataStats& stats) {
  std::string out =
      "<div class=\"card scroll\"><table><tr><th>set</th><th>records</th><th>held out</th><th>broken</th><th>filtered</th>"
      "<th>duplicate</th><th>over limit</th><th>mean</th><th>longest</th>";
  out += stats.tokenised ? "<th>cut</th><th>learnt</th></tr>" : "</tr>";
  for (const auto& set : stats.sets) {
    const auto& report = set.report;
    out += fmt::format("<tr><td>{}</td>", escaped(set.label));
    for (const auto count : {set.records, report.held_out, report.broken, report.filtered, report.duplicates, report.over_limit})
      out += fmt::format("<td>{}</td>", n(count));
    out += fmt::format("<td>{:.1f}</td><td>{}</td>", set.lengths.mean(), n(set.lengths.longest()));
    if (stats.tokenised)
      out +=
          fmt::format("<td>{}</td><td>{}</td>", n(set.formatted.truncated), percent(set.formatted.supervised_tokens, set.formatted.tokens));
    out += "</tr>";
  }
  return out + "</table></div>\n";
}

std::string ngrams(const DataStats& stats) {
  static constexpr const char* kNames[] = {"one", "two", "three"};
  std::string out;
  for (const auto& [language, of_language] : stats.ngrams) {
    out += fmt::format("<h3>{}</h3><div class=\"cards\">", language.empty() ? "language unknown" : escaped(language));
    for (std::size_t i = 0; i < kLongestNgram; ++i) {
      const auto& of_length = of_language.by_length[i];
      out += fmt::format("<div class=\"card\"><table><tr><th>{} of {}</th><th>count</th></tr>", kNames[i], n(of_length.total));
      for (const auto& [term, count] : of_length.top) out += fmt::format("<tr><td>{}</td><td>{}</td></tr>", escaped(term), n(count));
      out += "</table>";
      if (of_length.error) out += fmt::format("<p class=\"faint\">Counts may be too low by up to {}.</p>", n(of_length.error));
      out += "</div>";
    }
    out += "</div>";
  }
  return out;
}

/// Escaped text whose line ends stay.
std::string lines(std::string_view text) {
  std::string out;
  for (std::size_t begin = 0; begin <= text.size();) {
    const auto end = std::min(text.find('\n', begin), text.size());
    out += (begin ? "\n" : "") + escaped(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return out;
}

std::string samples(const DataStats& stats) {
  std::string out;
  for (const auto& sample : stats.samples) {
    const auto learnt = stats.tokenised ? fmt::format(", {} learnt", n(sample.learnt)) : "";
    out += fmt::format("<div class=\"card\"><h3>{} <span class=\"faint\">{} · {} {}{}</span></h3><pre>", escaped(sample.set),
                       escaped(sample.place), n(sample.length), stats.unit(), learnt);
    for (const auto& run : sample.runs) out += run.learnt ? "<mark>" + lines(run.text) + "</mark>" : lines(run.text);
    out += "</pre></div>\n";
  }
  return out;
}

std::vector<Amount> named(std::vector<Amount> amounts, const char* none) {
  for (auto& amount : amounts)
    if (amount.name.empty()) amount.name = none;
  return amounts;
}

bool tells(const std::vector<Amount>& amounts) { return amounts.size() > 1 || (amounts.size() == 1 && !amounts[0].name.empty()); }

}  // namespace

std::vector<std::pair<std::string, Picture>> stats_pictures(const DataStats& stats) {
  std::vector<Amount> sets;
  for (const auto& set : stats.sets) sets.push_back({set.label, set.records});
  std::vector<std::pair<std::string, Picture>> out;
  out.emplace_back("sets", pie_chart("Records by set", sets));
  if (sets.size() > 1) out.emplace_back("sizes", bar_chart("Sizes of the sets, in records", sets));
  if (tells(stats.categories)) out.emplace_back("categories", pie_chart("Records by category", named(stats.categories, "none named")));
  if (tells(stats.languages)) out.emplace_back("languages", pie_chart("Records by language", named(stats.languages, "unknown")));
  if (tells(stats.tags)) out.emplace_back("tags", bar_chart("Records by the catalogue's tags", named(stats.tags, "none")));
  const bool cuts = stats.tokenised;
  const auto mark = cuts ? LengthMark{stats.max_tokens, fmt::format("max_tokens {}", n(stats.max_tokens))} : LengthMark{};
  out.emplace_back("lengths",
                   length_chart(cuts ? "Lengths of the examples" : "Lengths of the records", stats.lengths.counts, stats.unit(), mark));
  return out;
}

std::string stats_page(const DataStats& stats) {
  const auto sets = plural(static_cast<std::int64_t>(stats.sets.size()), "set");
  std::string out =
      fmt::format("<h1>Data statistics</h1><p class=\"faint\">{}</p>\n",
                  stats.tokenised ? fmt::format("{}. Lengths are in tokens, with the template {}.", sets, escaped(stats.template_name))
                                  : fmt::format("{}. No tokenizer is named: lengths are in characters, of the records' own text.", sets));
  out += numbers(stats) + "<h2>Sets</h2>" + sets_table(stats) + "<h2>Composition and lengths</h2><div class=\"cards pictures\">\n";
  for (const auto& [name, picture] : stats_pictures(stats))
    out += fmt::format("<div class=\"card\" id=\"{}\">{}</div>\n", name, picture.svg(false));
  out +=
      "</div>\n<h2>Words</h2><p class=\"faint\">Neighbouring words, or Chinese characters, in the records' own text: how often one, two "
      "and three of them come.</p>";
  out += ngrams(stats);
  if (!stats.samples.empty())
    out += "<h2>Samples</h2><p class=\"faint\">As the model sees them; <mark>what it learns</mark> is marked.</p><div class=\"cards\">\n" +
           samples(stats) + "</div>";
  return html_page("Data statistics", out, kMarks);
}

}  // namespace herd
