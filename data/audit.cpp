#include "data/audit.h"

#include <fmt/format.h>

#include <algorithm>

#include "runtime/base/random.h"
#include "runtime/base/text.h"

namespace herd {
namespace {

struct Marks {
  std::string_view begin, end;
};

constexpr Marks kColor{"\033[1;32m", "\033[0m"}, kBrackets{"⟦", "⟧"};

double share(std::int64_t part, std::int64_t whole) { return whole ? static_cast<double>(part) / static_cast<double>(whole) : 0; }

/// The greatest n ≤ text.size() that does not cut a UTF-8 character.
std::size_t whole_characters(std::string_view text, std::size_t n) {
  n = std::min(n, text.size());
  while (n > 0 && n < text.size() && (static_cast<unsigned char>(text[n]) & 0xc0) == 0x80) --n;
  return n;
}

/// Tokens [begin, end) of an example, all special or none: the text of each goes by its own rules.
struct Stretch {
  std::size_t begin = 0, end = 0;
  bool special = false;
};

std::vector<Stretch> stretches(const ExampleView& example, const Tokenizer& tokenizer) {
  std::vector<Stretch> out;
  for (std::size_t i = 0; i < static_cast<std::size_t>(example.length()); ++i) {
    const bool special = tokenizer.role(example.token(static_cast<std::int64_t>(i))) == TokenRole::kSpecial;
    if (out.empty() || special || out.back().special) out.push_back({i, i, special});
    out.back().end = i + 1;
  }
  return out;
}

void add(std::vector<MarkedRun>& runs, std::string_view text, bool learnt) {
  if (text.empty()) return;
  if (runs.empty() || runs.back().learnt != learnt) runs.push_back({"", learnt});
  runs.back().text += text;
}

/// Adds a stretch of text, run by run. A run is not decoded alone, as a tokenizer may treat a text's first token in a way of its own:
/// its text is what decoding up to its end has more than decoding up to its start.
void add_runs(std::vector<MarkedRun>& out, const ExampleView& example, const Stretch& stretch, const Tokenizer& tokenizer) {
  const auto all = example.tokens();
  const auto tokens = std::span(all).subspan(stretch.begin, stretch.end - stretch.begin);
  const auto learnt = [&](std::size_t i) { return example.supervised(static_cast<std::int64_t>(stretch.begin + i)); };
  const auto whole = tokenizer.decode(tokens, false);
  std::size_t written = 0;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const bool marked = learnt(i);
    if (i + 1 < tokens.size() && marked == learnt(i + 1)) continue;
    const auto part = tokenizer.decode(tokens.first(i + 1), false);
    const auto common = std::mismatch(part.begin(), part.end(), whole.begin(), whole.end()).first - part.begin();
    const auto end = std::max(written, whole_characters(whole, static_cast<std::size_t>(common)));
    add(out, std::string_view(whole).substr(written, end - written), marked);
    written = end;
  }
}

struct Fill {
  std::int64_t rows = 0;
  double full = 0;  // tokens by places, the rows as long as max_tokens
};

Fill packed_fill(const Dataset& dataset, const DataOptions& data) {
  std::vector<std::int64_t> lengths;
  for (std::int64_t i = 0; i < dataset.train.size(); ++i) lengths.push_back(dataset.train.length(i));
  const auto order = permutation(static_cast<std::int64_t>(lengths.size()), data.seed, 0);
  const auto rows = pack_rows(order, lengths, data.max_tokens, {data.seed, 0}).size();
  return {rows, share(dataset.train_report.tokens, rows * data.max_tokens)};
}

/// Places spent when `micro_batch` rows are padded to the longest among them, in the first epoch's order.
double padded_fill(const Dataset& dataset, const DataOptions& data, std::size_t micro_batch) {
  const auto order = permutation(dataset.train.size(), data.seed, 0);
  std::int64_t places = 0;
  for (std::size_t begin = 0; begin < order.size(); begin += micro_batch) {
    const auto end = std::min(begin + micro_batch, order.size());
    std::int64_t longest = 0;
    for (auto i = begin; i < end; ++i) longest = std::max(longest, dataset.train.length(order[i]));
    places += longest * static_cast<std::int64_t>(end - begin);
  }
  return share(dataset.train_report.tokens, places);
}

std::string samples(const Dataset& dataset, const Tokenizer& tokenizer, const DataOptions& data, const AuditOptions& options) {
  std::string out;
  const auto order = permutation(dataset.train.size(), data.seed, 0);
  for (std::size_t i = 0; i < order.size() && static_cast<std::int64_t>(i) < options.samples; ++i) {
    const auto example = dataset.train[order[i]];
    out += fmt::format("── {}: {} tokens, {} supervised\n{}\n\n", describe(example.source(), dataset.files), example.length(),
                       example.supervised_tokens(), marked_text(example, tokenizer, options.color));
  }
  return out;
}

}  // namespace

std::vector<MarkedRun> marked_runs(const ExampleView& example, const Tokenizer& tokenizer) {
  std::vector<MarkedRun> out;
  for (const auto& stretch : stretches(example, tokenizer)) {
    if (stretch.special) {
      const auto at = static_cast<std::int64_t>(stretch.begin);
      add(out, tokenizer.id_to_token(example.token(at)), example.supervised(at));
    } else {
      add_runs(out, example, stretch, tokenizer);
    }
  }
  return out;
}

std::string marked_text(const ExampleView& example, const Tokenizer& tokenizer, bool color) {
  const auto [begin, end] = color ? kColor : kBrackets;
  std::string out;
  for (const auto& run : marked_runs(example, tokenizer)) out += run.learnt ? fmt::format("{}{}{}", begin, run.text, end) : run.text;
  return out;
}

std::string length_histogram(const Examples& examples, int bars) {
  constexpr double kWidth = 50;
  std::int64_t longest = 1;
  for (std::int64_t i = 0; i < examples.size(); ++i) longest = std::max(longest, examples.length(i));
  const auto step = (longest + bars - 1) / bars;
  std::vector<std::int64_t> counts(static_cast<std::size_t>((longest + step - 1) / step));
  for (std::int64_t i = 0; i < examples.size(); ++i)
    ++counts[static_cast<std::size_t>((std::max<std::int64_t>(examples.length(i), 1) - 1) / step)];
  const auto most = std::max<std::int64_t>(1, *std::max_element(counts.begin(), counts.end()));
  std::string out;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const auto first = static_cast<std::int64_t>(i) * step + 1;
    auto cells = static_cast<int>(kWidth * share(counts[i], most) + 0.5);
    if (counts[i] > 0) cells = std::max(cells, 1);
    std::string bar;
    for (int c = 0; c < cells; ++c) bar += "█";
    out += fmt::format("{:>6} – {:<6} {}{}{}\n", first, std::min(first + step - 1, longest), bar, cells ? " " : "", with_thousands(counts[i]));
  }
  return out;
}

std::string audit(const Dataset& dataset, const Tokenizer& tokenizer, const DataOptions& data, const AuditOptions& options) {
  const auto packed = packed_fill(dataset, data);
  auto out = samples(dataset, tokenizer, data, options);
  out += "lengths of the training examples, in tokens\n" + length_histogram(dataset.train) + "\n";
  out += join(dataset.summary(), "\n") + "\n";
  out += fmt::format("packed: {} rows of {} tokens in the first epoch, {:.1f} % full, {:.1f} examples a row{}\n", with_thousands(packed.rows),
                     data.max_tokens, 100 * packed.full, share(dataset.train_report.examples, packed.rows), data.packing ? "" : " (data.packing is off)");
  out += fmt::format("padded to the longest: {} rows, {:.1f} % full in micro-batches of 4, {:.1f} % in those of 16{}\n",
                     with_thousands(dataset.train_report.examples), 100 * padded_fill(dataset, data, 4), 100 * padded_fill(dataset, data, 16),
                     data.packing ? " (data.packing is on)" : "");
  out += fmt::format("template {} {}, data {}\n", dataset.template_name, dataset.template_fingerprint, dataset.fingerprint);
  return out;
}

}  // namespace herd
