#include "data/stats/stats.h"

#include <algorithm>
#include <memory>

#include "data/catalogue.h"
#include "data/examples.h"
#include "data/language.h"
#include "data/stats/samples.h"
#include "data/template/chat_template.h"
#include "runtime/base/error.h"
#include "runtime/base/parallel_for.h"
#include "runtime/base/text.h"

namespace herd {
namespace {

constexpr std::size_t kMostLanguages = 16, kMostCategories = 10'000;
constexpr const char* kOther = "other";

std::vector<std::string> tags_of(const CatalogueEntry& entry) {
  std::vector<std::string> out;
  for (const auto* joined : {&entry.language, &entry.task, &entry.generation})
    for (std::size_t begin = 0; begin < joined->size();) {
      const auto end = std::min(joined->find('/', begin), joined->size());
      out.push_back(joined->substr(begin, end - begin));
      begin = end + 1;
    }
  return out;
}

std::string last_part(const std::string& name) {
  const auto slash = name.find_last_of('/', name.size() < 2 ? name.npos : name.size() - 2);
  return slash == name.npos ? name : name.substr(slash + 1);
}

std::string label_of(const std::string& name, const std::vector<ResolvedSet>& sets) {
  const auto label = last_part(name);
  const auto same = std::count_if(sets.begin(), sets.end(), [&](const ResolvedSet& set) { return last_part(set.set.name) == label; });
  return same > 1 ? name : label;
}

void take_counts(const Formatter::Outcome& outcome, FormatReport& report) {
  Formatted counted{.examples = {}, .report = report};
  take(outcome, counted);
  report = counted.report;
}

/// What is worked out of a record on a thread of its own.
struct Seen {
  std::vector<Formatter::Outcome> outcomes;
  std::vector<std::vector<Term>> terms;
  RecordKey key;  // with a sketch
  std::string language;
};

class Counting {
 public:
  Counting(const DataOptions& options, const Tokenizer* tokenizer, const StatsOptions& stats)
      : options_(options), tokenizer_(tokenizer), stats_(stats), exact_(Deduplicate::kExact), near_(Deduplicate::kNear, options.near) {
    out_.tokenised = tokenizer != nullptr;
    out_.max_tokens = options.max_tokens;
    out_.near = options.near;
    text_ = tokenizer ? template_for(options.template_name, *tokenizer) : find_template(options.template_name);
    out_.template_name = text_->name;
    if (tokenizer) format_ = std::make_unique<Formatter>(*tokenizer, options);
  }

  DataStats run() {
    auto sets = resolve_sets(options_);
    describe_sets(sets);
    Mix mix(options_, std::move(sets));
    for (auto block = mix.next(); !block.empty(); block = mix.next()) add_block(block, mix);
    for (std::size_t i = 0; i < out_.sets.size(); ++i) out_.sets[i].report = mix.reports()[i];
    if (out_.records() == 0)
      throw DataError({.who = "data.sets",
                       .found = "no record left",
                       .expected = "at least one",
                       .remedy = "look at `where` of the sets, and data.deduplicate"});
    finish();
    return std::move(out_);
  }

 private:
  void describe_sets(const std::vector<ResolvedSet>& sets) {
    const Catalogue catalogue(options_.catalogue, options_.folder);
    for (const auto& set : sets) {
      const auto* entry = catalogue.find(set.set.name);
      out_.sets.push_back({.report = {.name = set.set.name},
                           .label = label_of(set.set.name, sets),
                           .files = set.files,
                           .tags = entry ? tags_of(*entry) : std::vector<std::string>{},
                           .weight = set.set.weight,
                           .lengths = {},
                           .formatted = {}});
      languages_of_sets_.push_back(set.language);
      sampled_.emplace_back(stats_.samples);
    }
  }

  void add_block(const std::vector<MixedRecord>& block, const Mix& mix) {
    std::vector<Seen> seen(block.size());
    const bool sketch = out_.near_among < stats_.near_records;
    parallel_for(static_cast<std::int64_t>(block.size()), options_.threads, [&](std::int64_t at) {
      const auto i = static_cast<std::size_t>(at);
      const auto& record = block[i].record;
      auto& own = seen[i];
      if (format_) own.outcomes = (*format_)(record, mix.files());
      own.terms = terms_of(record);
      own.key = sketch ? key_of(record, true) : block[i].key;
      const auto& of_set = languages_of_sets_[block[i].set];
      own.language = record.language.empty() && !of_set.empty() ? of_set : language_of(record);
    });
    for (std::size_t i = 0; i < block.size(); ++i) add(block[i], seen[i], mix);
  }

  void add(const MixedRecord& mixed, const Seen& seen, const Mix& mix) {
    auto& set = out_.sets[mixed.set];
    for (auto* report : {&set.formatted, &out_.formatted}) ++report->records;
    ++set.records;
    if (format_) {
      for (const auto& outcome : seen.outcomes) {
        for (auto* report : {&set.formatted, &out_.formatted}) take_counts(outcome, *report);
        for (auto* lengths : {&set.lengths, &out_.lengths}) lengths->add(outcome.full_length);
      }
    } else {
      for (auto* lengths : {&set.lengths, &out_.lengths}) lengths->add(characters_of(mixed.record));
    }
    categories_.add(mixed.record.category);
    languages_.add(seen.language);
    add_duplicate(seen.key);
    auto& ngrams = ngrams_of(seen.language);
    for (std::size_t n = 0; n < kLongestNgram; ++n) ngrams.add(seen.terms, n);
    if (sampled_[mixed.set].wants(mixed.key.content)) sampled_[mixed.set].add(mixed.key.content, sample(mixed, seen, mix));
  }

  void add_duplicate(const RecordKey& key) {
    const bool near_too = out_.near_among < stats_.near_records;
    out_.near_among += near_too;
    if (exact_.before(key)) ++out_.exact_duplicates;
    else if (near_too && near_.before(key)) ++out_.near_duplicates;
  }

  NgramCounts& ngrams_of(const std::string& language) {
    if (const auto found = ngrams_.find(language); found != ngrams_.end()) return *found->second;
    auto& counts = ngrams_[ngrams_.size() < kMostLanguages ? language : kOther];
    if (!counts) counts = std::make_unique<NgramCounts>();
    return *counts;
  }

  StatsSample sample(const MixedRecord& mixed, const Seen& seen, const Mix& mix) const {
    StatsSample out{.set = out_.sets[mixed.set].label, .place = describe(mixed.record.source, mix.files()), .runs = {}};
    if (format_) {
      const auto& example = seen.outcomes.front().example;
      out.length = example.length();
      out.learnt = example.supervised_tokens;
      out.runs = shortened(marked_runs(Examples({example})[0], *tokenizer_));
    } else {
      out.length = characters_of(mixed.record);
      out.runs = shortened(marked_runs(mixed.record, *text_));
    }
    return out;
  }

  void finish() {
    for (const auto& [name, count] : categories_.top(kMostCategories)) out_.categories.push_back({name, count});
    for (const auto& [name, count] : languages_.top(kMostCategories)) out_.languages.push_back({name, count});
    std::map<std::string, std::int64_t> tags;
    for (const auto& set : out_.sets)
      for (const auto& tag : set.tags.empty() ? std::vector<std::string>{""} : set.tags) tags[tag] += set.records;
    for (const auto& [name, count] : tags) out_.tags.push_back({name, count});
    for (const auto& [language, counts] : ngrams_)
      for (std::size_t n = 0; n < kLongestNgram; ++n) {
        const auto& counter = counts->by_length[n];
        out_.ngrams[language].by_length[n] = {counter.total(), counter.error(), counter.top(stats_.top)};
      }
    for (auto& sampled : sampled_) sampled.move_to(out_.samples);
  }

  const DataOptions& options_;
  const Tokenizer* tokenizer_;
  const StatsOptions& stats_;
  std::shared_ptr<const Template> text_;
  std::unique_ptr<Formatter> format_;
  std::vector<std::string> languages_of_sets_;
  std::vector<Sampled> sampled_;
  TermCounter categories_{kMostCategories}, languages_{kMostCategories};
  SeenRecords exact_, near_;
  std::map<std::string, std::unique_ptr<NgramCounts>> ngrams_;
  DataStats out_;
};

}  // namespace

DataStats data_stats(DataOptions options, const Tokenizer* tokenizer, const StatsOptions& stats) {
  options.unsupervised = Unsupervised::kSkip;  // to be counted, where a run may stop
  if (options.overlong == Overlong::kError) options.overlong = Overlong::kTruncate;
  return Counting(options, tokenizer, stats).run();
}

}  // namespace herd
