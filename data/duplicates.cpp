#include "data/duplicates.h"

#include <algorithm>
#include <limits>

#include "runtime/base/random.h"
#include "runtime/base/text.h"

namespace herd {
namespace {

// Lower case, and one blank for any run of them: what copies of a text differ in.
std::string plain(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool blank = c == ' ' || c == '\n' || c == '\t' || c == '\r';
    if (blank && (out.empty() || out.back() == ' ')) continue;
    out += blank ? ' ' : c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
  }
  if (out.ends_with(' ')) out.pop_back();
  return out;
}

std::uint64_t mixed(std::uint64_t x) {  // the finaliser of MurmurHash3 (Appleby)
  x = (x ^ x >> 33) * 0xff51afd7ed558ccd;
  x = (x ^ x >> 33) * 0xc4ceb9fe1a85ec53;
  return x ^ x >> 33;
}

struct Line {
  std::uint64_t factor, offset;
};

const std::array<Line, RecordKey::kHashes>& lines() {
  static const auto all = [] {
    std::array<Line, RecordKey::kHashes> out;
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = {mixed(2 * i + 1) | 1, mixed(2 * i + 2)};
    return out;
  }();
  return all;
}

// Of every run of five characters the hash; for each of the lines the least value.
void sketch(std::string_view text, std::array<std::uint32_t, RecordKey::kHashes>& out) {
  constexpr std::size_t kPiece = 5;
  out.fill(std::numeric_limits<std::uint32_t>::max());
  std::vector<std::size_t> begins;
  for (std::size_t i = 0; i < text.size(); ++i)
    if ((static_cast<unsigned char>(text[i]) & 0xc0) != 0x80) begins.push_back(i);
  begins.push_back(text.size());
  const auto pieces = begins.size() > kPiece ? begins.size() - kPiece : 1;
  for (std::size_t i = 0; i < pieces; ++i) {
    const auto end = begins[std::min(i + kPiece, begins.size() - 1)];
    const auto hash = mixed(hash_name(text.substr(begins[i], end - begins[i])));
    for (std::size_t k = 0; k < out.size(); ++k) out[k] = std::min(out[k], static_cast<std::uint32_t>((lines()[k].factor * hash + lines()[k].offset) >> 32));
  }
}

}  // namespace

RecordKey key_of(const Record& record, bool with_sketch) {
  RecordKey out{.content = fingerprint(content_of(record))};
  std::string all, first;
  for (const auto& turn : record.turns) {
    const auto text = turn.text + (turn.input.empty() ? "" : "\n" + turn.input);
    if (first.empty() && (turn.role == Role::kUser || turn.role == Role::kText)) first = text;
    if (with_sketch) all += text + "\n";
  }
  out.question = mixed(hash_name(plain(first)));
  if (with_sketch) sketch(plain(all), out.sketch);
  return out;
}

double likeness(const RecordKey& a, const RecordKey& b) {
  int same = 0;
  for (std::size_t i = 0; i < RecordKey::kHashes; ++i) same += a.sketch[i] == b.sketch[i];
  return static_cast<double>(same) / RecordKey::kHashes;
}

std::optional<SeenRecords::Like> SeenRecords::earlier(const RecordKey& key) {
  if (how_ == Deduplicate::kOff) return {};
  const auto [content, is_new] = contents_.try_emplace(key.content, remembered_);
  if (!is_new) return Like{content->second, true};
  if (how_ == Deduplicate::kNear)
    if (const auto number = near_earlier(key)) {
      content->second = *number;
      return Like{*number, false};
    }
  ++remembered_;
  return {};
}

std::optional<std::uint32_t> SeenRecords::near_earlier(const RecordKey& key) {
  std::array<std::uint64_t, kBands> bands;
  for (std::size_t band = 0; band < kBands; ++band) {
    std::uint64_t hash = band;
    for (std::size_t row = 0; row < kRows; ++row) hash = mixed(hash ^ key.sketch[band * kRows + row]);
    bands[band] = hash;
  }
  for (std::size_t band = 0; band < kBands; ++band) {
    const auto found = bands_[band].find(bands[band]);
    if (found == bands_[band].end()) continue;
    for (const auto other : found->second)
      if (likeness(kept_[other], key) >= likeness_) return other;
  }
  for (std::size_t band = 0; band < kBands; ++band) bands_[band][bands[band]].push_back(static_cast<std::uint32_t>(kept_.size()));
  kept_.push_back(key);
  kept_.back().content.clear();
  return {};
}

}  // namespace herd
