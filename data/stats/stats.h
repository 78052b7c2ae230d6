#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "data/audit.h"
#include "data/data_options.h"
#include "data/mix.h"
#include "data/stats/counters.h"
#include "data/stats/ngrams.h"
#include "data/tokenizer/tokenizer.h"
#include "runtime/report/charts.h"

namespace herd {

struct StatsOptions {
  std::size_t samples = 2;             ///< shown of each set, chosen by their content
  std::int64_t near_records = 50'000;  ///< near duplicates are looked for among so many, the first: each takes 3 KB
  std::size_t top = 20;                ///< n-grams told of each length and language
};

/// A set of the mixture.
struct SetStats {
  SetReport report;
  std::string label;  ///< its name, of a path the last part where that tells it from the others
  std::vector<std::string> files;
  std::vector<std::string> tags;  ///< of the catalogue: its languages, tasks, generation
  double weight = 1;
  std::int64_t records = 0;
  Lengths lengths;
  FormatReport formatted;
};

struct StatsSample {
  std::string set, place;
  std::int64_t length = 0, learnt = 0;  ///< in the unit of lengths
  std::vector<MarkedRun> runs;
};

struct LanguageNgrams {
  struct OfLength {
    std::int64_t total = 0, error = 0;  ///< of all; by how much a count may be too low (TermCounter)
    std::vector<CountedTerm> top;
  };
  std::array<OfLength, kLongestNgram> by_length;
};

/// What a mixture's records are: both sides of the split together, after filters, limits and data.deduplicate.
struct DataStats {
  bool tokenised = false;  ///< else lengths are characters of the records' own text, and nothing is known of what is cut or learnt
  std::string template_name;
  std::int64_t max_tokens = 0;
  std::vector<SetStats> sets;
  std::vector<Amount> categories, languages, tags;   ///< "" for none; a record counts once for each tag of its set
  Lengths lengths;                                   ///< of examples before any cut; without a tokenizer of records
  FormatReport formatted;                            ///< as a run would report it, had it left out what it cannot learn from
  std::int64_t exact_duplicates = 0;                 ///< records with the content of an earlier one
  std::int64_t near_duplicates = 0, near_among = 0;  ///< others nearly the same as an earlier one, among the first so many
  double near = 0;
  std::map<std::string, LanguageNgrams> ngrams;  ///< by language
  std::vector<StatsSample> samples;

  const char* unit() const { return tokenised ? "tokens" : "characters"; }
  std::int64_t records() const { return formatted.records; }
};

/// Reads the mixture once (what Mix reads beforehand apart), a block of records at a time. Memory holds a fingerprint of each record,
/// sketches of `near_records`, and tables of bounded size. Records that a run would stop at as too long or without anything to learn are
/// counted.
/// @param tokenizer null: none. @throws what resolve_sets, Mix and Formatter throw; DataError where no record is left.
DataStats data_stats(DataOptions options, const Tokenizer* tokenizer, const StatsOptions& stats = {});

}  // namespace herd
