#include "data/stats/stats_output.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "runtime/base/file.h"
#include "runtime/base/text.h"
#include "runtime/report/text_table.h"

namespace herd {
namespace {

using Json = nlohmann::ordered_json;

const auto n = with_thousands;

double share(std::int64_t part, std::int64_t whole) { return whole ? static_cast<double>(part) / static_cast<double>(whole) : 0; }

Json json_of(const Lengths& lengths) {
  return {{"number", lengths.number},     {"total", lengths.total},        {"mean", lengths.mean()},      {"median", lengths.quantile(0.5)},
          {"p90", lengths.quantile(0.9)}, {"p99", lengths.quantile(0.99)}, {"longest", lengths.longest()}};
}

Json json_of(const FormatReport& report) {
  return {{"examples", report.examples},
          {"tokens", report.tokens},
          {"supervised_tokens", report.supervised_tokens},
          {"supervised_fraction", share(report.supervised_tokens, report.tokens)},
          {"truncated", report.truncated},
          {"tokens_cut", report.tokens_cut},
          {"skipped_overlong", report.skipped_overlong},
          {"skipped_unsupervised", report.skipped_unsupervised}};
}

Json json_of(const std::vector<Amount>& amounts) {
  auto out = Json::object();
  for (const auto& [name, count] : amounts) out[name] = count;
  return out;
}

Json json_of(const SetStats& set, bool tokenised) {
  const auto& report = set.report;
  Json out{{"name", report.name},
           {"files", set.files},
           {"tags", set.tags},
           {"weight", set.weight},
           {"records", set.records},
           {"train", report.train},
           {"held_out", report.held_out},
           {"left_out",
            {{"broken", report.broken}, {"where", report.filtered}, {"duplicates", report.duplicates}, {"limit", report.over_limit}}},
           {"lengths", json_of(set.lengths)}};
  if (tokenised) out["examples"] = json_of(set.formatted);
  return out;
}

Json ngrams_json(const DataStats& stats) {
  auto out = Json::object();
  for (const auto& [language, ngrams] : stats.ngrams)
    for (std::size_t i = 0; i < kLongestNgram; ++i) {
      const auto& of_length = ngrams.by_length[i];
      auto& place = out[language][std::to_string(i + 1)];
      place = {{"total", of_length.total}, {"count_too_low_by_at_most", of_length.error}, {"top", Json::array()}};
      for (const auto& [term, count] : of_length.top) place["top"].push_back({term, count});
    }
  return out;
}

std::string percent(std::int64_t part, std::int64_t whole) { return fmt::format("{:.1f} %", 100 * share(part, whole)); }

std::string sets_table(const DataStats& stats) {
  std::vector<std::vector<std::string>> rows{{"set", "records", "held out", "left out", "mean", "median", "longest"}};
  if (stats.tokenised) rows[0].insert(rows[0].end(), {"truncated", "supervised"});
  const auto add = [&](const std::string& name, std::int64_t records, std::int64_t held_out, std::int64_t left_out, const Lengths& lengths,
                       const FormatReport& report) {
    rows.push_back({name, n(records), n(held_out), n(left_out), fmt::format("{:.1f}", lengths.mean()), n(lengths.quantile(0.5)),
                    n(lengths.longest())});
    if (stats.tokenised) rows.back().insert(rows.back().end(), {n(report.truncated), percent(report.supervised_tokens, report.tokens)});
  };
  std::int64_t held_out = 0, left_out = 0;
  for (const auto& set : stats.sets) {
    const auto& report = set.report;
    const auto out = report.broken + report.filtered + report.duplicates + report.over_limit;
    add(set.label, set.records, report.held_out, out, set.lengths, set.formatted);
    held_out += report.held_out;
    left_out += out;
  }
  if (stats.sets.size() > 1) add("all", stats.records(), held_out, left_out, stats.lengths, stats.formatted);
  return text_table(rows, std::string_view("lrrrrrrrr").substr(0, rows[0].size()));
}

std::string some(const std::vector<Amount>& amounts, const char* none) {
  std::vector<std::string> told;
  for (const auto& [name, count] : greatest(amounts, 10)) told.push_back(fmt::format("{} {}", name.empty() ? none : name, n(count)));
  return join(told);
}

}  // namespace

std::string stats_text(const DataStats& stats) {
  auto out = sets_table(stats);
  out += stats.tokenised ? fmt::format("lengths in tokens, with the template {}, before any cut\n", stats.template_name)
                         : std::string("lengths in characters, as no tokenizer is named: of the records' own text, without a template\n");
  const auto& report = stats.formatted;
  if (stats.tokenised) {
    out += fmt::format("cut at {}: {} of {} examples, {} tokens ({}); without a token to learn: {}", n(stats.max_tokens),
                       n(report.truncated), n(stats.lengths.number), n(report.tokens_cut), percent(report.tokens_cut, stats.lengths.total),
                       n(report.skipped_unsupervised));
    out += report.skipped_overlong ? fmt::format("; left out as too long: {}\n", n(report.skipped_overlong)) : "\n";
  }
  out += "categories: " + some(stats.categories, "none") + "\nlanguages: " + some(stats.languages, "unknown") + "\n";
  out += fmt::format("duplicates: {} exact; {} near (at least {:g} alike, among the first {} records)\n", n(stats.exact_duplicates),
                     n(stats.near_duplicates), stats.near, n(stats.near_among));
  return out;
}

std::string stats_json(const DataStats& stats) {
  Json out{{"unit", stats.unit()}, {"records", stats.records()}};
  if (stats.tokenised) out.update({{"template", stats.template_name}, {"max_tokens", stats.max_tokens}});
  out["sets"] = Json::array();
  for (const auto& set : stats.sets) out["sets"].push_back(json_of(set, stats.tokenised));
  out["categories"] = json_of(stats.categories);
  out["languages"] = json_of(stats.languages);
  out["tags"] = json_of(stats.tags);
  auto& lengths = out["lengths"] = json_of(stats.lengths);
  for (const auto& [length, count] : stats.lengths.counts) lengths["counts"].push_back({length, count});
  if (stats.tokenised) out["examples"] = json_of(stats.formatted);
  out["duplicates"] = {
      {"exact", stats.exact_duplicates}, {"near", stats.near_duplicates}, {"near_among_first", stats.near_among}, {"likeness", stats.near}};
  out["ngrams"] = ngrams_json(stats);
  return out.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";  // a file's name may be no UTF-8
}

std::vector<std::string> write_stats(const std::filesystem::path& folder, const DataStats& stats) {
  make_folder(folder);
  std::vector<std::string> names;
  const auto write = [&](const std::string& name, const std::string& bytes) {
    write_file_atomically(folder / name, bytes);
    names.push_back(name);
  };
  write("stats.json", stats_json(stats));
  for (const auto& [name, picture] : stats_pictures(stats)) {
    write(name + ".png", picture.png());
    write(name + ".svg", picture.svg());
  }
  write("index.html", stats_page(stats));
  return names;
}

}  // namespace herd
